"""The README tells the truth: its commands are the ones CI runs, its table is the one that was measured."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_two_commands_stand_at_the_top():
    commands = re.findall(r"```\n(pip install .*)\n```", README[:2000])
    assert commands == ["pip install -e . && python -m bench run", "pip install -e '.[test]' && pytest"]


def test_every_line_of_its_table_was_measured():
    shown = README.split("<!-- laptop -->")[1].split("<!-- /laptop -->")[0]
    lines = [line for line in shown.splitlines() if line.startswith("|")]
    measured = (ROOT / "results" / "laptop" / "table.md").read_text()
    measured = measured.replace("](images/", "](results/laptop/images/").splitlines()
    assert len(lines) > 15
    assert [line for line in lines if line not in measured] == []


def test_every_picture_and_file_it_names_is_there():
    targets = re.findall(r"\]\((?!http|#)([^)]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
