"""What commands print and where runs land, in this process: no model is trained."""

import json
import re
from pathlib import Path

import pytest

from bench.commands.asked import run_request, shown_command
from bench.commands.cli import main, parser
from bench.render.table.column import columns
from bench.render.table.runs_table import runs_table
from bench.storage.records import read_records
from tests.drawn import LAPTOP, change, copy_results, records

ROOT = Path(__file__).parents[2]


def test_a_users_own_runs_lie_where_git_ignores_them():
    for options, out in ([], "results/local/smoke"), (["--preset=laptop"], "results/local/laptop"), (["--out=x"], "x"):
        assert run_request(parser().parse_args(["run", *options])).out == Path(out)
    assert "results/local/" in (ROOT / ".gitignore").read_text().splitlines()


def test_how_many_rows_are_printed_is_no_part_of_the_command():
    assert shown_command(parser().parse_args(["run", "--all-rows", "--seeds=1"])) == "python -m bench run --seeds 1"


def printed(capsys, *arguments):
    assert main(["table", *map(str, arguments)]) == 0
    return capsys.readouterr()


def test_the_terminal_shows_the_first_rows_and_all_if_asked(capsys):
    short, long = printed(capsys, LAPTOP).out, printed(capsys, LAPTOP, "--all-rows").out
    for label in ("training time per epoch", "weights, full scale", "background: stray pixels"):
        assert label in short
        assert label in long
    for label in ("Tau parameters, here", "recall", "accuracy: eyes", "shape: edge agreement"):
        assert label not in short
        assert label in long
    assert short.endswith("rows; --all-rows prints all.\n")


def test_the_schema_of_a_record_is_one_json_document_and_needs_no_folder(capsys):
    schema = json.loads(printed(capsys, "--schema").out)
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == set(json.loads(records(LAPTOP)[0].read_text()))
    assert "busy_share" in schema["$defs"]["Training"]["properties"]
    assert main(["table"]) == 2
    assert capsys.readouterr().err == (
        "bench: which results? Name a folder that `python -m bench run` wrote, or --schema\n"
    )


def test_each_row_of_the_json_document_has_a_key_and_a_section(capsys):
    rows = json.loads(printed(capsys, LAPTOP, "--format=json").out)["rows"]
    keys = [row["key"] for row in rows]
    assert len(set(keys)) == len(keys)
    assert all(key.isidentifier() and key == key.lower() for key in keys)
    assert list(dict.fromkeys(row["section"] for row in rows)) == [
        "post", "memory", "speed", "attributes", "distance", "artefacts", "sampling", "budget",
    ]  # fmt: skip
    assert [row["key"] for row in rows if row["section"] == "post"] == [
        "parameters", "model", "blocks", "heads", "seconds_per_epoch", "optimizer", "schedule", "strength", "weakness",
        "example",
    ]  # fmt: skip


@pytest.fixture
def mixed(tmp_path):
    """Committed records, as if those of `scratch` had been made on another machine by the same code, both quiet."""
    folder = copy_results(tmp_path / "mixed")
    code = json.loads(records(folder)[-1].read_text())["environment"]
    for path in records(folder):
        name, threads = ("AVX2", 1) if "scratch" in path.name else (None, 2)
        here = {"device": "AMD EPYC, 2 cores", "instruction_set": name, "threads": threads, "load_average": 0.0}
        here |= {each: code[each] for each in ("commit", "training_code")}

        def edit(fields, here=here):
            fields["environment"].update(here)
            fields["measurements"]["training"]["busy_share"] = 0.0
            fields["measurements"]["training"]["validation"] = []  # a loss that rises would be told of, too
            fields["measurements"]["machine_peak"] = None

        change(path, edit)
    return folder


def test_committed_and_own_records_of_two_machines_are_told_apart(mixed, capsys):
    warning = (
        "**diffusers-32 differs from scratch:** on AMD EPYC, 2 cores, instruction set not recorded, not AMD EPYC, "
        "2 cores, AVX2; threads 2, not 1; `sizes.learning_rate` 0.0017, not 0.003. Its times (†) do not compare."
    )
    assert f"\n- {warning}\n" in printed(capsys, mixed).out
    table = printed(capsys, mixed, "--format=md").out
    assert re.search(r"\| training time per epoch ↓ \| [^|†]+ s \| [^|†]+ s† \|", table)
    csv = printed(capsys, mixed, "--format=csv")
    assert (csv.err, csv.out.count("†")) == (f"{warning}\n", 0)
    assert json.loads(printed(capsys, mixed, "--format=json").out)["warnings"] == [warning]
    for path in records(mixed)[:2]:
        path.unlink()
    assert printed(capsys, mixed, "--format=csv").err == ""


def test_a_run_prints_the_first_rows_and_what_does_not_compare(mixed, capsys, monkeypatch):
    monkeypatch.setattr("bench.runs.runner.run", lambda _: [])  # everything is finished
    assert main(["run", "--out", str(mixed)]) == 0
    out = capsys.readouterr().out
    assert "seconds per sample" in out
    assert "Tau parameters, here" not in out
    assert "\n- **diffusers-32 differs from scratch:** " in out
    assert out.endswith(f"{mixed / 'table.md'} has all rows (here: --all-rows), the legend and pictures.\n")
    assert "- **diffusers-32 differs from scratch:** " in (mixed / "table.md").read_text()
    assert "- **diffusers-32 differs from scratch:** " in (mixed / "quality.md").read_text()


def test_the_table_of_runs_names_every_machine(mixed):
    made = runs_table(columns(read_records(mixed)))
    assert made.measures[-1].label == "machine"
    assert [run.values[-1].text for run in made.runs] == [
        "AMD EPYC, 2 cores, AVX2", "AMD EPYC, 2 cores, AVX2", "AMD EPYC, 2 cores, instruction set not recorded",
        "AMD EPYC, 2 cores, instruction set not recorded",
    ]  # fmt: skip
