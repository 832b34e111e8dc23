"""Every case of FAULTS.md has a test that bears its number, or a sentence here why it has none."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
CASES = range(1, 41)
UNTESTED = {
    40: "There is no DataLoader and no worker process of one: the images lie in memory, and batches are made in the "
    "training process (on a GPU, in a thread of it), so nothing of this kind can be killed or left over.",
}


def test_every_case_has_its_test_or_its_sentence():
    source = "\n".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    names = re.findall(r"^def test_fault_((?:\d\d_(?:and_)?)+)", source, flags=re.MULTILINE)
    tested = {int(number) for name in names for number in re.findall(r"\d\d", name)}
    assert tested <= set(CASES)
    assert tested | UNTESTED.keys() == set(CASES), sorted(set(CASES) - tested - UNTESTED.keys())
    assert not tested & UNTESTED.keys()
