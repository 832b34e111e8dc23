"""The harness against a bare loop: the ratio's arithmetic, and the program as a user runs it."""

import json
import time

import pytest

from bench.cost.overhead import ratio
from tests.test_cli import bench


def test_a_ratio_of_known_steps_and_its_interval():
    def sleeping(seconds):
        return lambda: time.sleep(seconds)

    found = ratio(sleeping(0.02), sleeping(0.01), rounds=7, steps=3, device="cpu")
    assert len(found["ratios"]) == 7
    assert found["low"] <= found["median"] <= found["high"]
    assert found["median"] == pytest.approx(2, abs=0.4)


@pytest.mark.slow
def test_overhead_as_a_program(tmp_path):
    done = bench("overhead", "--preset=smoke", "--rounds=7", "--steps=1", "--device=cpu", "--cache", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["rounds"] == 7
    for question in ("bare_over_bare", "harness_over_bare", "100000_over_1000_images"):
        assert 0.3 < document[question]["median"] < 3  # about one: a single step a round is no measurement
    assert document["double_batch"]["median"] > 1
    assert 0 < document["data_share_of_step"]["median"] < 0.5
