"""Records that others made, or that a disk spoilt: named in one line, while the others are shown."""

import json
import re
import shutil

import pytest

from bench.commands.cli import main
from bench.render.markdown import Markdown, escape, image, markdown
from bench.render.report.overview import write_overview
from bench.render.table.table import table
from bench.storage.records import read_record
from tests.drawn import change, copy_records
from tests.made_up import put

RECORD = "scratch-matched-seed0.json"


@pytest.fixture
def folder(tmp_path):
    return copy_records(tmp_path / "laptop")


NESTED = json.loads("[" * 100 + "]" * 100)
SECONDS = ("measurements", "sampling", "seconds")
DAMAGED = {
    "null seed": (put(None, "config", "seed"), "config.seed = null (should be a valid integer)"),
    "null sizes": (put(None, "config", "sizes"), "config.sizes = null (should be an object)"),
    "null batch": (put(None, "config", "sizes", "batch_size"), "config.sizes.batch_size = null (should be a valid int"),
    "null measurements": (put(None, "measurements"), "measurements = null (should be an object)"),
    "null time": (put(None, *SECONDS), "measurements.sampling.seconds = null (should be a valid number)"),
    "NaN": (put(float("nan"), *SECONDS), "measurements.sampling.seconds = NaN (should be a finite number)"),
    "infinite": (put(-float("inf"), "measurements", "curve", 0, "accuracy"), "measurements.curve.0.accuracy = -Infin"),
    "1e300": (put(1e300, "config", "sizes", "learning_rate"), "config.sizes.learning_rate = 1e+300 (should be less"),
    "enormous": (put(10**400, "config", "seed"), f"config.seed = 1{59 * '0'}… (should be less than"),
    "enormous count": (put(10**400, "measurements", "sampling", "images"), "measurements.sampling.images = 1000"),
    "negative seed": (put(-1, "config", "seed"), "config.seed = -1 (should be greater than or equal to 0)"),
    "bool": (put(True, "config", "seed"), "config.seed = true (should be a valid integer)"),
    "number as text": (put("7", *SECONDS), 'measurements.sampling.seconds = "7" (should be a valid number)'),
    "no image": (put(0, "measurements", "sampling", "images"), "measurements.sampling.images = 0 (should be greater"),
    "long": (put("x" * 20_000, "command"), "(String should have at most 10000 characters)"),
    "long name": (put("x" * 20_000, "config", "recipe", "name"), "config.recipe.name = "),
    "long key": (
        put({"x" * 20_000: []}, "measurements", "judge", "untrained"),
        "field measurements.judge.untrained.xxx",
    ),
    "status": (put("fine", "status"), "status = \"fine\" (should be 'done' or 'failed')"),
    "text": (
        put("a lot", "measurements", "cost", "weights_bytes"),
        'measurements.cost.weights_bytes = "a lot" (should',
    ),
    "nested": (put(NESTED, "measurements", "training"), "measurements.training = [[[["),
    "nested beyond parsing": (put([[NESTED] * 3, [NESTED, [NESTED]]], "environment"), "environment = [[[["),
    "misspelt": (
        put(0.5, "measurements", "training", "bussy_share"),
        "unknown field measurements.training.bussy_share",
    ),
    "misspelt setting": (put(1, "config", "sizes", "bach_size"), "an unknown field config.sizes.bach_size"),
    "lacking": (lambda fields: fields["measurements"]["sampling"].pop("seconds"), "no field measurements.sampling.sec"),
    "scale": (put("a.png", "images", "guidance", "wide"), "an unknown field images.guidance.wide"),
    "path": (put(7, "images", "samples"), "images.samples = 7 (should be a valid string)"),
    "a lost part": (lambda fields: fields["measurements"]["step"]["seconds"].pop("ema"), "seconds lack ema"),
    "validation": (put([1], "measurements", "training", "validation_timesteps"), "validation has 8 losses, not 1"),
}


def drawn(capsys, *folders):
    """Exit status, columns by their number of seeds, and what was said on stderr, of `bench table`."""
    status = main(["table", *map(str, folders), "--format", "json"])
    out, said = capsys.readouterr()
    (row,) = [row for row in json.loads(out)["rows"] if row["measure"] == "seconds per sample"]
    return status, {name: value["seeds"] for name, value in row["values"].items()}, said


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_record_is_named_with_its_field_and_value_and_the_others_are_shown(kind, folder, capsys):
    edit, words = DAMAGED[kind]
    change(folder / "records" / RECORD, edit)
    assert_left_out(folder, capsys, words)


def assert_left_out(folder, capsys, words):
    status, seeds, said = drawn(capsys, folder)
    assert (status, seeds) == (1, {"scratch": 1, "diffusers-32": 2})
    assert said.startswith(f"bench: laptop: record {RECORD} ")
    assert words in said
    assert said.endswith("delete it and run again\n")
    assert said.count("\n") == 1
    assert len(said) < 500


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[" * 100_000, "recursion"),
        ("{" + '"a":{' * 100_000, "recursion"),
        ('{"a": 1' + "0" * 5000, "digits"),
        ('{"schema_version": 2, "a": ' + "[" * 500 + "]" * 500 + "}", "recursion"),
        (" " * (16 * 2**20 + 1), "more than 16 MiB"),
    ],
)
def test_a_record_that_no_parser_can_follow_is_named(content, words, folder, capsys):
    (folder / "records" / RECORD).write_text(content)
    assert_left_out(folder, capsys, words)


def test_a_number_beyond_all_others_is_named_as_it_is_written(folder, capsys):
    path = folder / "records" / RECORD
    path.write_text(path.read_text().replace('"loss_per_epoch": [', '"loss_per_epoch": [1e999,', 1))
    assert_left_out(folder, capsys, "measurements.training.loss_per_epoch.0 = Infinity")


def test_one_run_under_two_names_is_one_seed(folder, capsys):
    _, seeds, said = drawn(capsys, folder)
    assert (seeds, said) == ({"scratch": 2, "diffusers-32": 2}, "")
    shutil.copy(folder / "records" / RECORD, folder / "records" / "another.json")
    status, again, said = drawn(capsys, folder)
    assert (status, again) == (1, seeds)
    assert said == (
        f"bench: laptop: record another.json is of the same run as {RECORD}, which counts once: delete the one that "
        "is not wanted\n"
    )


def test_one_run_in_two_folders_is_one_seed(folder, tmp_path, capsys):
    shutil.copytree(folder, tmp_path / "copy")
    status, seeds, said = drawn(capsys, folder, tmp_path / "copy")
    assert (status, seeds) == (1, {"scratch": 2, "diffusers-32": 2})
    assert said.count("\n") == said.count(" is of the same run as laptop/") == 4


HOSTILE = "a|b\n\x1b[2J<script>alert(1)</script> [x](http://e.vil) `c\\"


def test_markdown_shows_what_a_record_says_and_obeys_none_of_it(folder):
    path = folder / "records" / RECORD
    for edit in (
        put(HOSTILE, "config", "contestant"), put(HOSTILE, "command"), put(HOSTILE, "measurements", "blocks"),
        put(f"images/{HOSTILE}.png", "images", "example"), put(HOSTILE, "environment", "device"),
    ):  # fmt: skip
        change(path, edit)
    text = table([read_record(path)]).to_markdown()
    assert "\x1b" not in text
    without_code = re.sub(r"(?<!\\)`[^`]+`", "", text)  # in which nothing is obeyed
    without_folds = re.sub(r"</?(details|summary)>", "", without_code)  # our own
    assert not re.search(r"(?<!\\)<", without_folds)
    assert not re.search(r"(?<!\\)\[x", without_code)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3}
    (example,) = [row for row in rows if row.startswith("| example")]
    assert example.endswith("(images/a%7Cb%5Cn%5Cx1b%5B2J%3Cscript%3Ealert%281%29%3C/script%3E%20%5Bx%5D"
                            "%28http%3A//e.vil%29%20%60c%5C.png) |")  # fmt: skip


def test_escaping_keeps_our_own_little_markup_and_is_done_once():
    assert escape("**no** `a|b <c>`: x | <y>") == r"**no** `a\|b <c>`: x \| \<y\>"
    assert escape("a ` b") == r"a \` b"
    assert escape(escape("<")) == r"\<"
    assert image("<a>", "b c.png") + " <" == r"![\<a\>](b%20c.png) \<"
    assert markdown(["a|b"], [[Markdown("[x](y)")]]).splitlines() == [r"| a\|b |", "| :--- |", "| [x](y) |"]


def test_a_terminal_obeys_nothing_that_a_record_says(folder, capsys):
    path = folder / "records" / RECORD
    for edit in (put("[red]\x1b[2J[/nothing]", "measurements", "blocks"), put("\x1b]0;title\x07", "command")):
        change(path, edit)
    for name in ("diffusers-32-matched-seed0.json", "diffusers-32-matched-seed1.json", "scratch-matched-seed1.json"):
        (folder / "records" / name).unlink()
    assert main(["table", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert r"[red]\x1b[2J[/nothing]" in out.replace("\n", "")


def test_a_damaged_document_beside_the_records_is_named_on_the_overview(folder):
    (folder / "overhead.json").write_text("[[[")
    _, refusals = write_overview(folder.parent)
    assert len(refusals) == 1
    assert refusals[0].startswith("laptop: a document of its overheads cannot be shown (JSONDecodeError")
