"""The report: what stands in it, what it refuses, and that what others wrote can do no harm in it."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bench.commands.cli import main
from bench.errors import BadInput
from bench.render.report import report
from bench.render.table.runs_table import runs_table
from bench.render.table.table import table
from bench.storage.records import read_record, readable_records
from tests.drawn import PLOTS, SCALES, change, copy_results, records

ROOT = Path(__file__).parents[2]
HOSTILE = "</script><script>alert(1)</script>"


class Page(HTMLParser):
    """Elements in their order, with the text of each."""

    VOID = ("meta", "img", "source", "input", "link", "br")

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), []))
        if tag not in self.VOID:
            self.open.append(self.elements[-1])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag  # every element is closed where it has to be

    def handle_data(self, text):
        for _, _, inside in self.open:
            inside.append(text)

    def all(self, *tags):
        return [(tag, attributes, "".join(text)) for tag, attributes, text in self.elements if tag in tags]

    def texts(self, *tags):
        return [" ".join(text.split()) for _, _, text in self.all(*tags)]


def bench_report(capsys, *arguments):
    """Exit status, stdout, stderr of `bench report`."""
    status = main(["report", *map(str, arguments)])
    return status, *capsys.readouterr()


def page_of(capsys, folder):
    status, out, error = bench_report(capsys, folder)
    assert (status, error) == (0, "")
    assert out == f"{folder / 'report.html'}\n"
    return Page((folder / "report.html").read_text())


@pytest.fixture
def folder(tmp_path):
    return copy_results(tmp_path / "laptop")


def test_the_page_has_every_row_every_run_and_every_picture(folder, capsys):
    page = page_of(capsys, folder)
    made = table([read_record(path) for path in records(folder)])
    text = " ".join("".join(page.all("body")[0][2]).split())
    for row in made.rows:
        assert row.label in text
        for cell in made.cells(row):
            assert row.label == "example" or cell.text.replace("**", "") in text
    for line in made.legend:
        assert line.replace("**", "").replace("`", "") in text
    runs = [attributes for _, attributes, _ in page.all("div") if attributes.get("class") == "record"]
    assert len(runs) == len(records(folder)) == 4
    for pre, path in zip(page.all("pre"), sorted(records(folder), key=lambda p: "diffusers" in p.name), strict=True):
        assert json.loads(pre[2]) == json.loads(path.read_text())
    alts = [attributes["alt"] for _, attributes, _ in page.all("img")]
    assert all(alts)
    a_seed, first = 1 + 2, 2 + 2  # samples above real ones and epochs; animations, noising and confusions
    assert len(alts) == 4 + 2 * len(SCALES) + 4 * a_seed + 2 * first + len(PLOTS)
    assert sum("at guidance" in alt for alt in alts) == 2 * len(SCALES)
    assert len(page.all("source")) == 4
    assert all(a["media"] == "(prefers-reduced-motion: reduce)" for _, a, _ in page.all("source"))
    assert "not drawn" not in text
    assert "measured by no run: FID (Inception)" in text


def test_the_headings_go_down_by_one_and_the_landmarks_are_there(folder, capsys):
    page = page_of(capsys, folder)
    levels = [int(tag[1]) for tag, *_ in page.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    for landmark in ("header", "nav", "main", "footer"):
        assert len(page.all(landmark)) == 1
    named = {attributes["id"] for _, attributes, _ in page.elements if "id" in attributes}
    assert len(named) == sum("id" in attributes for _, attributes, _ in page.elements)
    for _, attributes, _ in page.elements:
        for key in ("aria-labelledby", "popovertarget", "for"):
            assert attributes.get(key) is None or attributes[key] in named
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in named
        assert "style" not in attributes  # the policy would not let it through
        assert not [key for key in attributes if key.startswith("on")]


def test_nothing_is_fetched(folder, capsys):
    page = page_of(capsys, folder)
    for tag, attributes, _ in page.elements:
        for key in ("src", "srcset", "href", "action", "data", "poster"):
            assert attributes.get(key, "#").startswith(("#", "data:")), tag
    text = (folder / "report.html").read_text()
    assert not re.search(r"(https?:)?//[a-z]", re.sub(r"base64,[\w+/=]+", "", text).replace("// ", ""))
    (policy,) = [a["content"] for _, a, _ in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:; ")
    assert "unsafe" not in policy
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        ((_, _, inside),) = page.all(tag)
        assert f"{directive} {report.policy_hash(inside)}" in policy


def test_the_page_is_small_quick_and_made_without_torch(folder):
    heavy = "{'torch', 'diffusers', 'matplotlib'}"
    program = f"import sys; from bench.commands.cli import main; main(); assert not {heavy} & {{*sys.modules}}"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", program, "report", folder], capture_output=True, text=True, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 10  # whatever else the machine does
    assert (folder / "report.html").stat().st_size < 8e6


def test_the_same_folder_gives_the_same_page_and_names_no_path(folder, capsys):
    page_of(capsys, folder)
    first = (folder / "report.html").read_bytes()
    page_of(capsys, folder)
    assert (folder / "report.html").read_bytes() == first
    assert str(folder.parent).encode() not in first


@pytest.mark.parametrize("name", [HOSTILE, '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "a & b <!-- `c` **d**"])
def test_what_a_record_says_is_text_and_no_markup(name, folder, capsys):
    def rename(fields):
        fields["config"]["contestant"] = name
        fields["command"] = fields["environment"]["device"] = fields["environment"]["commit"] = name
        fields["measurements"]["blocks"] = name
        fields["measurements"]["attributes"]["confusion"]["variants"][0] = name
        fields["images"]["guidance"]["4"] = f"images/{name}.png"
        fields["images"]["noising"] = f"images/{name}.png"

    for path in records(folder)[2:]:  # both seeds of scratch
        change(path, rename)
    page = page_of(capsys, folder)
    assert len(page.all("script")) == 1
    assert not [attributes for _, attributes, _ in page.elements if {"onerror", "onload"} & attributes.keys()]
    text = (folder / "report.html").read_text()
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert name in page.texts("th")
    assert json.loads(page.all("pre")[-1][2])["config"]["contestant"] == name


def test_a_failed_run_says_why_on_its_line(folder, capsys):
    for path in records(folder)[:2]:  # both seeds of diffusers-32
        change(path, lambda fields: fields.update(status="failed", error="out of memory", measurements={}, images={}))
    page = page_of(capsys, folder)
    assert page.texts("td").count("failed: out of memory") >= 4
    assert "4 runs of 2 contestants, 2 failed." in page.texts("p")[3]
    assert "No run of it has finished, so it has drawn nothing." in page.texts("p")


def test_a_truncated_record_is_named_and_the_others_are_drawn(folder, capsys):
    path = records(folder)[0]
    path.write_text(path.read_text()[:1000])
    status, out, error = bench_report(capsys, folder)
    assert status == 1
    assert error.count("\n") == 1
    assert error.startswith(f"bench: {folder.name}: record {path.name} cannot be read")
    assert error.endswith("delete it and run again\n")
    page = Page(Path(out.strip()).read_text())
    assert len(page.all("pre")) == 3
    assert any(path.name in text for text in page.texts("li"))
    assert any("; 1 record left out" in text for text in page.texts("p"))


WRONG = {
    "text for a number": lambda fields: fields["measurements"]["training"].update(seconds_per_epoch="quick"),
    "pictures in a list": lambda fields: fields.update(images=["a.png"]),
    "not finite": lambda fields: fields["measurements"]["sampling"].update(seconds=float("nan")),
    "interval": lambda fields: fields["measurements"]["artefacts"]["stray_pixels"].update(interval="wide"),
    "confusion": lambda fields: fields["measurements"]["attributes"]["confusion"].update(counts=[[1]]),
    "guidance": lambda fields: fields["measurements"].update(guidance=[{"guidance": 1.0, "accuracy": "good"}]),
    "unknown optimiser": lambda fields: fields["config"]["recipe"]["optimisation"].update(optimizer="magic"),
    "environment": lambda fields: fields.update(environment=None),
    "seed": lambda fields: fields["config"].update(seed="first"),
    "field with a line break": lambda fields: fields.update({"x\n\x1b[31my": 1}),
    "curve": lambda fields: fields["measurements"].update(curve=[3]),
    "text for a count": lambda fields: fields["data"].update(images=HOSTILE),
    "guidance scale": lambda fields: fields["images"]["guidance"].update({f'"{HOSTILE}': "images/a.png"}),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_record_that_cannot_be_drawn_is_named_and_the_others_are_drawn(kind, folder, capsys):
    path = records(folder)[1]
    change(path, WRONG[kind])
    status, out, error = bench_report(capsys, folder)
    assert status == 1, error
    assert error.count("\n") == 1
    assert error.startswith(f"bench: {folder.name}: record {path.name} ")
    assert error.endswith(": delete it and run again\n")
    assert error.rstrip("\n").isprintable()
    assert len(Page(Path(out.strip()).read_text()).all("pre")) == 3


def test_a_folder_without_a_readable_record_is_refused(folder, tmp_path, capsys):
    for path in records(folder):
        path.write_text("{")
    status, out, error = bench_report(capsys, folder)
    assert (status, out, error.count("\n")) == (2, "", 1)
    assert "holds no record that can be read" in error
    assert not (folder / "report.html").exists()
    status, out, error = bench_report(capsys, tmp_path / "nowhere")
    assert (status, out) == (2, "")
    assert "holds no records, for there is no such folder" in error
    status, out, error = bench_report(capsys, folder.parent)
    assert (status, out) == (2, "")
    assert error == f"bench: '{folder.parent}' holds no records: name {folder}\n"


@pytest.mark.parametrize(("out", "message"), [("page.txt", "is no .html file"), ("no/page.html", "lies in no folder")])
def test_a_bad_place_is_refused(out, message, folder, tmp_path, capsys):
    status, _, error = bench_report(capsys, folder, "--out", tmp_path / out)
    assert (status, error.count("\n")) == (2, 1)
    assert message in error


def test_several_folders_have_a_section_each(folder, tmp_path, capsys):
    shutil.copytree(ROOT / "results" / "smoke", tmp_path / "smoke")
    out = tmp_path / "both.html"
    status, _, error = bench_report(capsys, folder, tmp_path / "smoke", "--out", out)
    assert (status, error) == (0, "")
    page = Page(out.read_text())
    assert page.texts("h2") == ["laptop", "smoke"]
    tables = [attributes for _, attributes, _ in page.all("table") if attributes.get("class") == "comparison"]
    assert len(tables) == 2
    assert "python -m bench report laptop smoke" in page.texts("footer")[0]


def test_what_is_not_there_is_named(folder, capsys):
    shutil.rmtree(folder / "images" / "scratch-matched-seed0")
    (folder / "images" / "memory.svg").unlink()  # the PNG does as well
    for kind in ("png", "svg"):
        (folder / "images" / f"timesteps.{kind}").unlink()
    for path in records(folder):
        change(path, lambda fields: fields["images"].pop("guidance", None))
    page = page_of(capsys, folder)
    missing = page.texts("li")
    assert "not drawn: samples above real ones of scratch, seed 0 (the file is not there)" in missing
    assert "not drawn: guidance strips of scratch, seed 0, diffusers-32, seed 0 (not in the record)" in missing
    assert "not drawn: the plot “Validation loss by timestep” (the file is not there)" in missing
    assert "Guidance" not in page.texts("h3")
    plots = [attributes for _, attributes, _ in page.all("figure") if attributes.get("class") == "plot"]
    assert len(plots) == len(PLOTS) - 1


def test_a_page_that_grows_leaves_out_more_and_more_and_says_so(folder, capsys, monkeypatch):
    for path in records(folder):
        change(path, lambda fields: fields["images"]["epochs"].extend(2 * fields["images"]["epochs"]))
    page_of(capsys, folder)
    told = []
    for _ in report.CHOICES[1:]:
        monkeypatch.setattr(report, "LIMIT", (folder / "report.html").stat().st_size - 1)
        page = page_of(capsys, folder)
        told.append([text.split(": ")[1] for text in page.texts("li") if text.startswith("left out")])
    seeds, epochs = "pictures of every seed but the first", "epochs between the second and the last"
    assert told == [[seeds], [seeds, epochs], [seeds, epochs, "animations"]]
    before = (folder / "report.html").read_bytes()
    monkeypatch.setattr(report, "LIMIT", len(before) - 1)
    status, _, error = bench_report(capsys, folder)
    assert (status, error.count("\n")) == (2, 1)
    assert "name fewer folders" in error
    assert (folder / "report.html").read_bytes() == before


def test_the_table_of_runs_sorts_by_raw_numbers_and_drops_what_nobody_measured(folder):
    made = runs_table(table([read_record(path) for path in records(folder)]).columns)
    labels = [measure.label for measure in made.measures]
    assert labels[:4] == ["contestant", "recipe", "seed", "status"]
    assert {"Fréchet distance", "KID × 1000", "precision", "recall", "accuracy, exact", "measured peak"} <= {*labels}
    epoch = made.runs[0].values[labels.index("epoch")]
    assert float(epoch.key) == pytest.approx(float(epoch.text), abs=0.05)
    assert epoch.key != epoch.text
    assert made.unmeasured == ["FID (Inception)"]


def test_words_escape_first():
    assert report.words("**a** `b` <i>") == "<strong>a</strong> <code>b</code> &lt;i&gt;"


def test_records_of_no_folder_is_bad_input(tmp_path):
    with pytest.raises(BadInput):
        readable_records(tmp_path)
