"""FAULTS.md, A and E: runs killed, or refused by the disk, at any operation; see tests/killing.py for how."""

import json
import os
import subprocess
import sys

import pytest

from tests.faults.killing import KILL, MOMENT, REFUSE
from tests.invoking import ROOT


def cut(folder, how, spec):
    """What a run left alone has, and what happened at every point where one was cut."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.faults.killing", str(folder), how, spec]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=4 * 3600)
    assert done.returncode == 0, done.stderr
    alone, *found = [json.loads(line) for line in done.stdout.splitlines()]
    assert alone["files"] > 15
    assert [each for each in found if each["problem"] is not None or each["statuses"][1] != 0] == []
    print(f"\n{how}: {len(found)} points of {alone['operations']} operations tried, all with the same result")
    return alone, found


@pytest.mark.slow
def test_fault_02_and_03_a_run_killed_at_a_few_operations_of_every_phase_ends_with_the_same_result(tmp_path):
    """One in forty; `pytest -m exhaustive` tries every one."""
    alone, found = cut(tmp_path, KILL, "7/40")
    assert alone["operations"] > 150
    assert len(found) >= 4
    assert {each["statuses"][0] for each in found} == {-9}
    again = [each["trained_again"] for each in found]
    assert again[0] == 3  # cut before training: two epochs, the last one in two parts, as its rate falls at the end
    assert again[-1] == 0  # what is finished is not done again
    assert again == sorted(again, reverse=True)


@pytest.mark.slow
def test_fault_35_a_disk_full_at_any_write_is_an_error_and_the_rerun_has_the_same_result(tmp_path):
    _, found = cut(tmp_path, REFUSE, "31/80")
    assert 1 in {each["statuses"][0] for each in found}


@pytest.mark.exhaustive
@pytest.mark.parametrize("how", [KILL, REFUSE])
def test_fault_02_and_35_every_operation(how, tmp_path):
    alone, found = cut(tmp_path, how, "1/1")
    assert len(found) == alone["operations"]


@pytest.mark.exhaustive
def test_fault_01_twenty_random_moments(tmp_path):
    _, found = cut(tmp_path, MOMENT, "1/20")
    assert len(found) == 20
