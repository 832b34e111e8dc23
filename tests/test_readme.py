"""The README tells the truth: its commands are the ones CI runs, its table is the one that was measured."""

import json
import re
from pathlib import Path

from bench.render.anatomy import lines
from bench.render.judges import defect_lines
from bench.render.overhead import overhead_lines

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
TABLE = (ROOT / "results" / "laptop" / "table.md").read_text()


def test_the_two_commands_stand_at_the_top():
    commands = re.findall(r"```\n(pip install .*)\n```", README[:2000])
    assert commands == ["pip install -e . && python -m bench run", "pip install -e '.[test]' && pytest"]


def test_every_line_of_its_table_was_measured():
    shown = README.split("<!-- laptop -->")[1].split("<!-- /laptop -->")[0]
    lines = [line for line in shown.splitlines() if line.startswith("|")]
    measured = TABLE.replace("](images/", "](results/laptop/images/").splitlines()
    assert len(lines) > 15
    assert [line for line in lines if line not in measured] == []


def test_its_headline_was_measured():
    head = README.split("## ")[0]
    cells = [
        cell.strip() for line in head.splitlines() if line.startswith("| an epoch") for cell in line.split("|")[1:-1]
    ]
    rows = {line.split(" | ")[0]: line.strip("| ").split(" | ")[1:] for line in TABLE.splitlines()}
    seconds, accuracy = rows["| training time per epoch ↓"], rows["| attribute accuracy, macro ↑"]
    said = [f"an epoch in {s}; shows {a} of what is asked" for s, a in zip(seconds, accuracy, strict=True)]
    assert cells == said


def between(name):
    return README.split(f"<!-- {name} -->")[1].split(f"<!-- /{name} -->")[0].strip().splitlines()


def test_every_line_of_its_anatomy_and_its_overhead_is_in_the_results():
    document = json.loads((ROOT / "results" / "anatomy" / "anatomy.json").read_text())
    entries = document["contestants"]
    written = {line.label: [line.cell(entry).replace("\n", "<br>") for entry in entries] for line in lines(document)}
    head, _, *rows = [row.strip("| ").split(" | ") for row in between("anatomy")]
    assert head == [entry["name"] for entry in entries]
    assert len(rows) > 10
    assert [row for row in rows if written[row[0]] != row[1:]] == []
    measured = json.loads((ROOT / "results" / "overhead" / "overhead.json").read_text())
    assert between("overhead") == [f"- {line}" for line in overhead_lines(measured)[1:]]


def test_its_table_of_defects_was_measured():
    document = json.loads((ROOT / "results" / "judges" / "judges-32.json").read_text())
    assert between("defects") == defect_lines(document)


def test_the_classifier_is_as_good_as_it_says():
    text = " ".join(README.split())
    for side, words in (
        (32, "{} of the attributes right at 32×32 ({} with light noise, {} with"),
        (64, "{} at 64×64 ({}, {})"),
    ):
        macro = json.loads((ROOT / "results" / "judges" / f"judges-{side}.json").read_text())["classifier"]["macro"]
        assert words.format(*(f"{macro[name]:.3f}" for name in ("ceiling", "noisy", "blurred"))) in text


def test_every_picture_and_file_it_names_is_there():
    targets = re.findall(r"\]\((?!http|#)([^)]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
