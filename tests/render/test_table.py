"""The table: a golden one, and what its cells say."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from bench.config import PRESETS, TUNED_RATES, is_tuned, recipe_for
from bench.errors import BadInput
from bench.record import SCHEMA_VERSION
from bench.record.quality import EFFICIENTNET
from bench.render.images.plots import losses_of
from bench.render.report.quality import loss_and_images, rank_correlation
from bench.render.results import write_results
from bench.render.table.column import WIDEST
from bench.render.table.row import as_difference, decimals, share
from bench.render.table.table import columns, table
from bench.storage.folder import ResultsFolder
from bench.storage.records import read_record, read_records
from tests.invoking import ROOT
from tests.made_up import around, edited, put
from tests.render.conftest import cells_of

GOLDEN = Path(__file__).parent / "golden_table.md"
NOTHING = {"measurements": {}, "images": {}}


def test_the_golden_table(record):
    """Change the golden file on purpose only: it is what people see."""
    made = table([record(), record("diffusers-32", accuracy=0.6, seconds=(700.0, 1234.0, 1300.0))]).to_markdown()
    assert made == GOLDEN.read_text()


def test_the_sources_ten_rows_come_first_in_its_order_and_words(record):
    assert [row.label for row in table([record()]).rows][:10] == [
        "number of parameters", "denoising model", "Unet basic blocks", "number of attention heads",
        "training time per epoch", "optimizer", "learning rate schedule", "strength", "weakness", "example",
    ]  # fmt: skip


def test_one_seed_shows_no_spread_and_several_do(record):
    (one,) = cells_of(table([record()]), "attribute accuracy, macro")
    assert (one.text, one.sd, one.interval) == ("0.800 (0.780 to 0.820)", None, around(0.8))
    made = table([record(seed=0, accuracy=0.8), record(seed=1, accuracy=0.6)])
    (two,) = cells_of(made, "attribute accuracy, macro")
    assert (two.text, two.interval) == ("0.700 ± 0.141", None)
    assert two.seeds == 2
    assert cells_of(made, "all parameters, here")[0].text == "1,500,000"


def test_speed_and_share_of_the_peak_stand_together(record):
    made = table([record()])
    assert cells_of(made, "images/s in training")[0].value == 20
    assert cells_of(made, "achieved GFLOP/s in training")[0].value == pytest.approx(20 * 0.370370367)
    floor = 0.1 / 20 + 0.2 / 40 + 0.070370367 / 10
    assert cells_of(made, "time floor per image")[0].value == pytest.approx(floor)
    assert cells_of(made, "share of peak")[0].value == pytest.approx(20 * floor)
    assert cells_of(made, "seconds per training step")[0].value == pytest.approx(1.15)
    assert cells_of(made, "… its parts")[0].text.startswith("data 16.7 % (125.0 to 375.0 ms); forward 16.7 %")
    assert cells_of(made, "heads × width, here")[0].text == "4×8 (cross 64 → 32 tokens)"


def test_a_record_from_before_attention_was_timed_has_no_time_floor(record):
    known = {"precision": "no", "gemm_flop_per_second": 2e10, "convolution_flop_per_second": 4e10}
    old = edited(record(), put(known, "measurements", "machine_peak"))
    made = table([old])
    for label in ("time floor per image", "share of peak", "… of attention, GFLOP/s", "… of memory, GB/s"):
        assert cells_of(made, label)[0].text == "–"
    assert cells_of(made, "… peak of GEMM, GFLOP/s")[0].text == "20"


def test_a_rate_counts_as_tuned_only_at_the_sizes_of_its_trials(record):
    run = record().run
    tuned = replace(
        run, preset="laptop", sizes=replace(PRESETS["laptop"], learning_rate=TUNED_RATES["laptop"]["scratch"])
    )
    assert is_tuned(tuned)
    assert not is_tuned(replace(tuned, data="cartoonset"))
    assert not is_tuned(replace(tuned, contestant="tests.plug_in:build"))
    assert not is_tuned(replace(tuned, preset="session"))
    for other in ({"scale": 1 / 4}, {"batch_size": 32}, {"learning_rate": 1e-3}):
        assert not is_tuned(replace(tuned, sizes=replace(tuned.sizes, **other)))


def test_a_single_context_token_is_warned_of(record):
    assert not any("one context token" in line for line in table([record()]).legend)
    assert any("scratch attends to one context token" in line for line in table([record(tokens=1)]).legend)


def test_the_warm_up_epoch_counts_only_where_there_is_no_other(record):
    assert cells_of(table([record(seconds=(100.0, 4.0, 6.0))]), "training time per epoch")[0].value == 5
    assert cells_of(table([record(seconds=(100.0,))]), "training time per epoch")[0].value == 100


def test_what_was_not_measured_is_a_dash_and_a_failure_says_why(record):
    bare = record(**NOTHING, data={})
    failed = record("diffusers-32", **NOTHING, status="failed", error="out of memory")
    made = table([bare, failed])
    assert [c.text for c in cells_of(made, "training time per epoch")] == ["–", "failed: out of memory"]
    assert [c.value for c in cells_of(made, "all parameters, here")] == [None, None]
    json.dumps(made.to_json(), allow_nan=False)


def test_a_seed_that_failed_is_counted(record):
    lost = record(seed=2, **NOTHING, status="failed", error="out of memory")
    made = table([record(seed=0, accuracy=0.8), record(seed=1, accuracy=0.6), lost])
    assert cells_of(made, "attribute accuracy, macro")[0].text == "0.700 ± 0.141 (1 of 3 seeds failed)"
    first_failed = record(seed=0, **NOTHING, status="failed", error="out of memory")
    (cell,) = cells_of(table([first_failed, record(seed=1)]), "attribute accuracy, macro")
    assert cell.text == "0.800 (0.780 to 0.820) (1 of 2 seeds failed)"


def test_epochs_that_warm_up_after_a_resume_do_not_count(record):
    whole = record(seconds=(100.0, 4.0, 90.0, 6.0))
    resumed = edited(whole, put([2], "measurements", "training", "resumed_at_epochs"))
    assert cells_of(table([resumed]), "training time per epoch")[0].value == 5


def test_presets_never_share_a_column(record):
    other = edited(record(), put("laptop", "config", "preset"))
    assert [column.title for column in columns([record(), other])] == ["scratch (smoke)", "scratch (laptop)"]
    other = edited(record(), put("fedcba", "config", "data_hash"))
    assert [column.title for column in columns([record(), other])] == ["scratch #1", "scratch #2"]


def test_recipes_get_columns_of_their_own(record):
    other = edited(record(), put("source", "config", "recipe", "name"))
    assert [column.title for column in columns([record(), other])] == ["scratch (matched)", "scratch (source)"]


def test_distances_on_another_basis_never_share_a_row(record):
    other = edited(record("diffusers-32"), put(16, "measurements", "distance", EFFICIENTNET, "generated"))
    made = table([record(), other])
    titles = [row.label for row in made.rows if row.label.startswith("Fréchet distance (") and "after" not in row.label]
    assert len(titles) == 2
    assert [[cell.text == "–" for cell in cells_of(made, title)] for title in titles] == [[False, True], [True, False]]


def test_what_was_finished_at_another_budget_has_its_rows(record):
    made = table([record(), record("diffusers-32", seconds=(2.0, 2.0))])
    time = "paired colour difference ΔE after equal time (9.0 s)"
    assert [cell.text for cell in cells_of(made, time)] == ["10.00 (9.98 to 10.02)", "–"]  # it has no such model
    assert [cell.value for cell in cells_of(made, "images seen after 200 images")] == [200, 100]
    assert not any("300 images" in row.label for row in made.rows)  # of the main budget the whole table tells


def test_samplers_agree_differ_or_cannot_be_told(record):
    label, one = "… do they agree (0.01, 5 %)?", record()
    for agree, text in ((True, "yes"), (False, "**no**"), (None, "not shown: too few samples to say")):
        one = edited(one, put(agree, "measurements", "sampler", "agree"))
        assert cells_of(table([one]), label)[0].text == text


def test_seeds_that_say_different_things_are_both_heard(record):
    other = edited(record(seed=1), put(True, "measurements", "memorisation", EFFICIENTNET, "flagged"))
    (cell,) = cells_of(table([record(), other]), "… copies of training images?")
    assert cell.text == "no / **yes**"


def test_the_page_on_quality_has_its_tables_and_pictures(record, tmp_path):
    write_results(tmp_path, [record(), record(seed=1), record("diffusers-32", accuracy=0.6)])
    page = (tmp_path / "quality.md").read_text()
    for name in ("curves", "guidance", "attributes", "memory"):
        assert f"](images/{name}.png)" in page
        assert (tmp_path / "images" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        svg = (tmp_path / "images" / f"{name}.svg").read_text()
        assert all(f">{title}<" in svg for title in ("scratch", "diffusers-32"))  # words that can be read and searched
    assert "Not drawn, records lack it: Validation loss by timestep." in page
    assert "| wink | 3 | 1 |" in page
    assert "| 9 | 0.730 | 59.0 | 10.0 % |" in page
    failed = record("diffusers-8", **NOTHING, status="failed", error="out of memory")
    write_results(tmp_path / "failed", [failed])
    assert not (tmp_path / "failed" / "quality.md").exists()


def test_records_round_trip_and_strange_ones_are_refused(record, tmp_path):
    path = ResultsFolder(tmp_path).record(record().run.name)
    path.parent.mkdir()
    path.write_text(record().to_json())
    assert read_record(path).to_dict() == json.loads(record().to_json())
    assert read_records(tmp_path) == [read_record(path)]
    write_results(tmp_path, read_records(tmp_path))
    assert (tmp_path / "table.md").read_text().startswith("|")
    for content, word in (
        (record().to_json()[:100], "cannot be read"),
        (
            json.dumps(record().to_dict() | {"schema_version": SCHEMA_VERSION + 1}),
            f"schema_version {SCHEMA_VERSION + 1}",
        ),
        (json.dumps(record().to_dict() | {"surprise": 1}), "surprise"),
        ("[]", "cannot be read"),
    ):
        path.write_text(content)
        with pytest.raises(BadInput, match=word):
            read_record(path)


def test_a_classifier_that_guesses_is_flagged(record):
    guessed = put(0.2, "measurements", "attributes", "per_attribute", "top", "ceiling")
    made = table([edited(each, guessed) for each in (record(), record("diffusers-32", accuracy=0.6))])
    assert made.warnings == [
        "**The classifier is near or below chance on real images** for top (ceiling 0.200, chance 0.100): do not "
        "believe it there."
    ]


def test_ten_rows_and_fifteen_more_come_first_and_every_row_is_folded_below(record):
    made = table([record(), record("diffusers-32", accuracy=0.6)])
    first, *folded = made.to_markdown().split("<details>\n")
    assert [line.split(" |")[0][2:].rstrip(" ↓↑") for line in first.splitlines()[2:27]] == [
        *(row.label for row in made.rows[:10]),
        "weights, full scale", "Adam, full scale", "measured peak, here", "training GFLOP per image",
        "images/s in training", "seconds per sample", "colour difference to the true picture, ΔE",
        "… of the nearest training image", "all attributes right", "attribute accuracy, exact",
        "attribute accuracy, macro", "KID × 1000, EfficientNet-Lite0", "Fréchet distance (EfficientNet-Lite0)",
        "… its floor (real training images)", "background: stray pixels",
    ]  # fmt: skip
    assert first.splitlines()[27] == ""
    for (section, rows), text in zip([*made.sections.items()][1:], folded, strict=True):
        assert text.startswith(f"<summary>{section.value}: all rows</summary>\n\n|  | scratch | diffusers-32 |\n")
        assert text.rstrip().endswith("|\n\n</details>")
        assert text.count("\n| ") == len(rows) + 2
    assert (made.to_rich().row_count, made.to_rich(all_rows=True).row_count) == (24, len(made.rows) - 1)  # no pictures


def test_a_second_extractor_does_not_lengthen_the_first_rows(record):
    one = record()
    theirs = one.to_dict()["measurements"]["distance"][EFFICIENTNET]
    other = theirs | {"extractor": "mine", "title": "Fréchet distance (mine)"}
    made = table([edited(one, put(other, "measurements", "distance", "mine"))])
    assert len(made.headlines) == 25
    assert "frechet_distance_mine" in [row.key for row in made.rows]


def test_the_header_of_a_recipe_with_many_changes_is_short(record):
    changed = "matched+optimisation.optimizer=adam+optimisation.schedule=step+optimisation.step_factor=0.1"
    base = record()
    other = base.model_copy(update={"run": replace(base.run, recipe=recipe_for(changed, "scratch"))})
    made = table([base, other])
    title = "scratch (matched+optimizer=adam…)"
    assert [column.title for column in made.columns] == ["scratch (matched)", title]
    assert f"{title} is `scratch`, recipe `{changed}`." in made.legend


LONG = "a_package.of_many.modules.inside.each_other"


@pytest.mark.parametrize(
    ("names", "titles"),
    [
        (["a.b:build", "c.d:build"], ["a.b:build", "c.d:build"]),
        ([f"{LONG}:build", f"{LONG}:build_deep"], ["…each_other:build", "…each_other:build_deep"]),
        ([f"{LONG}.x:build", f"{LONG}.y.x:build"], [None, "…y.x:build"]),
        ([f"a.{LONG}.{LONG}:build", f"b.{LONG}.{LONG}:build"], None),
        ([f"a.b:{'x' * 90}a", f"a.b:{'x' * 90}b"], None),
        ([f"a.b:{'x' * 90}", f"c.b:{'x' * 90}"], None),
    ],
)
def test_headers_of_plug_ins_are_short_and_can_be_told_apart(names, titles, record):
    made = table([record(), *(record(name) for name in names)])
    found = [column.title for column in made.columns][1:]
    assert len({*found}) == len(names)
    for title, wanted, name in zip(found, titles or [None] * len(names), names, strict=True):
        assert wanted in (None, title)
        assert len(title) <= WIDEST or title == name
        assert title == name or f"{title} is `{name}`." in made.legend
    header, line = made.to_markdown().splitlines()[:2]
    assert header.count("|") == line.count("|") == 4 + len(names) - 1


def test_whether_a_lower_loss_goes_with_truer_images_is_told_by_ranks():
    errors = [7.4, 7.8, 8.4, 11.5, 12.7, 13.3]
    assert rank_correlation([(loss, error) for loss, error in zip(range(6), errors, strict=True)]) == ["1.00", "0.0028"]
    assert rank_correlation([(-loss, error) for loss, error in zip(range(6), errors, strict=True)])[0] == "-1.00"
    losses = np.random.default_rng(0).normal(size=12)
    mixed = [(loss, error) for loss, error in zip(losses, np.roll(losses, 1), strict=True)]
    rho, p = rank_correlation(mixed)
    assert float(rho) == pytest.approx(spearmanr(*zip(*mixed, strict=True)).statistic, abs=0.005)
    assert float(p) == pytest.approx(spearmanr(*zip(*mixed, strict=True)).pvalue, abs=0.03)


def test_the_page_tells_it_of_the_model_that_is_scored():
    records = read_records(ROOT / "results" / "laptop")
    trained = [record.measurements.training for record in records]
    losses = [np.mean(next(p.validation.raw for p in t.points if p.steps == t.main_steps)) for t in trained]
    errors = [record.measurements.paired.colour.value for record in records]
    laptop = columns(records)
    lines = "\n".join(loss_and_images(laptop))
    assert f"| all together | {spearmanr(losses, errors).statistic:.2f} | – | {len(records)} |" in lines
    assert loss_and_images([replace(laptop[0], records=laptop[0].records[:4])]) == []
    assert len(loss_and_images([replace(laptop[0], records=laptop[0].records[:5])])) == 3
    other = read_records(ROOT / "results" / "claims" / "too-much-noise")
    assert "all together" not in "\n".join(loss_and_images(columns(other)))  # losses of two recipes do not compare


def test_the_loss_by_timestep_is_that_of_the_model_that_is_scored():
    record = read_records(ROOT / "results" / "laptop")[0]
    steps, losses = zip(*losses_of(record), strict=True)
    assert steps == tuple(record.measurements.training.validation_timesteps)
    assert f"| validation loss ↓ | {np.mean(losses):.4f} |" in table([record]).to_markdown()


def test_a_difference_of_shares_is_written_in_points():
    assert [as_difference(write)(0.0104) for write in (share, decimals(2))] == ["1.0 points", "0.01"]
    assert (
        "| all attributes right | 2.1 % | 3.1 % | -1.0 points (-2.2 points to 0.3 points) |"
        in (ROOT / "results" / "laptop" / "table.md").read_text()
    )
