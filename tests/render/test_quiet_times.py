"""Runs that were scored side by side have their times from runs of their own."""

from dataclasses import replace

import pytest

from bench.render.images.plots import draw_curves, untimed
from bench.render.report.quality import not_timed
from bench.render.table.cost_rows import training_seconds
from bench.render.table.row import Section
from bench.render.table.runs_table import runs_table
from bench.render.table.table import table
from bench.storage.records import read_records
from tests.made_up import edited, put
from tests.render.conftest import cells_of


@pytest.fixture
def folder(record, tmp_path):
    """Two contestants with two busy seeds each; one quiet run of each, with a budget of its own."""

    def make(quiet=("scratch", "diffusers-8")):
        busy = put(3.0, "environment", "load_average"), put(1, "environment", "threads")
        for name in ("scratch", "diffusers-8"):
            for seed in (0, 1):
                write(tmp_path, edited(record(name, seed, seconds=(9.0, 90.0, 90.0)), *busy))
        for name in quiet:
            budget = put([{"kind": "images", "amount": 100.0}], "config", "sizes", "budgets")
            write(tmp_path / "times", edited(record(name, seconds=(4.0, 3.0, 3.0), accuracy=0.1), budget))
        return tmp_path

    return make


def cells_at(made, key):
    return next(made.cells(row) for row in made.rows if row.key == key)


def write(out, record):
    (out / "records").mkdir(parents=True, exist_ok=True)
    (out / "records" / f"{record.run.name}.json").write_text(record.to_json())


def test_times_are_of_the_quiet_runs_and_all_else_is_not(folder):
    out = folder()
    alone, made = table(read_records(out / "times")), table(read_records(out))
    timed = [row for row in made.rows if row.rests_on == "time"]
    assert {row.key for row in timed} > {"seconds_per_epoch", "seconds_per_sample", "images_per_second"}
    for row in timed:
        assert made.cells(row) == cells_at(alone, row.key)
    assert [cell.text for cell in cells_of(made, "training time per epoch")] == ["3.0 s", "3.0 s"]
    assert [(cell.value, cell.seeds) for cell in cells_at(made, "accuracy")] == [(0.8, 2), (0.8, 2)]
    equal_time = [row for row in made.rows if row.section is Section.BUDGET and row.rests_on == "equal_time"]
    assert equal_time
    assert all(cell.seeds == 2 for row in equal_time for cell in made.cells(row) if cell.value is not None)


def test_a_seed_that_took_its_speed_beside_other_work_has_no_equal_time(folder):
    """It shares the column of the others; only what too few steps have made does not count."""
    out, name = folder(), "diffusers-8"
    for seed, images in ((0, 288), (1, 250)):  # 9 s of 96 images in 3 s, and too few
        (record,) = [r for r in read_records(out) if (r.run.contestant, r.run.seed) == (name, seed)]
        curve = record.measurements.curve
        timed = [p.model_copy(update={"images": images} if "seconds=9" in p.budgets else {}) for p in curve]
        measured = record.measurements.model_copy(update={"curve": timed})
        run = replace(record.run, budget_steps=(18, 12, images // 16))
        write(out, record.model_copy(update={"run": run, "measurements": measured}))
    made = table(read_records(out))
    assert [column.title for column in made.columns] == ["scratch", name]
    seeds = {row.key: made.cells(row)[1].seeds for row in made.rows if row.section is Section.BUDGET}
    assert {seeds["images_at_seconds_9"], seeds["paired_colour_at_seconds_9"]} == {1}
    assert {count for key, count in seeds.items() if not key.endswith("_at_seconds_9")} == {2}


def test_the_legend_says_so_and_warns_of_no_busy_machine(folder):
    made = table(read_records(folder()))
    assert made.warnings == []
    assert [line for line in made.legend if "side by side" in line] == [
        "Times, speeds and the machine's peaks are of short runs of their own, one after another (a CPU, 2 "
        "cores, AVX2, 2 threads, torch 2.15.0, commit abc); the runs that are scored ran side by side."
    ]


def test_a_contestant_without_a_quiet_run_does_not_compare_in_times(folder):
    made = table(read_records(folder(quiet=("scratch",))))
    assert any(
        line.startswith("**diffusers-8 differs from scratch:** times of its own training. Its times (†) do not")
        for line in made.warnings
    )
    assert [cell.text for cell in cells_of(made, "training time per epoch")] == ["3.0 s", "90.0 s†"]
    assert "‡" not in "".join(cell.text for row in made.rows for cell in made.cells(row))


def test_a_quiet_run_of_other_work_is_not_taken(folder, record):
    out = folder()
    other = edited(record("scratch", seconds=(1.0, 1.0, 1.0)), put(64, "config", "sizes", "batch_size"))
    write(out / "times", other)
    assert cells_of(table(read_records(out)), "training time per epoch")[0].text.startswith("90.0 s")


def test_curves_and_the_page_of_runs_use_them_too(folder):
    made = table(read_records(folder()))
    (first, *_), quiet = made.columns[0].records, made.columns[0].records[0].timed[0]
    point = first.measurements.curve[0]
    per_epoch = quiet.measurements.training.images_per_epoch
    assert training_seconds(first, point) == pytest.approx(point.images * 3.0 / per_epoch)
    assert training_seconds(quiet, point) == point.seconds
    (epoch,) = [m for m in runs_table(made.columns).measures if m.label == "epoch"]
    assert epoch.read(first) == 3.0


def test_by_minutes_only_columns_whose_times_compare_are_drawn_and_the_page_names_the_others(folder, record):
    alike = table(read_records(folder())).columns
    assert untimed(alike) == []
    assert not_timed(alike) == ""
    elsewhere = [edited(each, put(1, "environment", "threads")) for each in (record("diffusers-16", seed=0),)]
    made = table([record("scratch"), record("diffusers-32"), *elsewhere]).columns
    assert [column.title for column in untimed(made)] == ["diffusers-16"]
    assert not_timed(made) == " Not drawn by minutes, as they were timed elsewhere: diffusers-16."
    by_images, by_minutes = (panel.lines for panel in draw_curves(made).axes[:2])
    assert len(by_images) == len(by_minutes) + 1
