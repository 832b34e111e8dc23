"""The harness against a bare loop: the ratio's arithmetic, and the program as a user runs it."""

import itertools
import json
from types import SimpleNamespace

import pytest

from bench.cost.overhead import ratio
from bench.render.overhead import verdict
from tests.invoking import bench


def test_a_ratio_of_known_steps_and_its_interval(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("bench.cost.overhead.time", SimpleNamespace(perf_counter=lambda: now[0]))

    def lasting(seconds):
        def step():
            now[0] += seconds * (1 + 0.1 * next(slower))  # a machine that gets slower and slower

        return step

    slower = itertools.count()
    found = ratio(lasting(2.0), lasting(1.0), rounds=7, steps=4, device="cpu")
    assert len(found["ratios"]) == 7
    assert found["low"] <= found["median"] <= found["high"]
    assert found["median"] == pytest.approx(2)  # neither always comes after the other


@pytest.mark.slow
def test_overhead_as_a_program(tmp_path):
    done = bench("overhead", "--preset=smoke", "--rounds=7", "--steps=1", "--device=cpu", "--cache", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["rounds"] == 7
    for question in ("bare_over_bare", "harness_over_bare", "100000_over_1000_images"):
        assert 0.3 < document[question]["median"] < 3  # about one: a single step a round is no measurement
    assert 0.5 < document["double_batch"]["median"] < 8
    assert 0 < document["data_share_of_step"]["median"] < 0.5


def test_the_verdict_says_when_the_interval_leaves_it_open():
    assert verdict({"median": 1.01, "high": 1.02, "goal": 1.03}) == "within the goal of 1.03"
    assert verdict({"median": 1.01, "high": 1.04, "goal": 1.03}).endswith("though the interval reaches beyond it")
    assert verdict({"median": 1.04, "high": 1.05, "goal": 1.03}) == "beyond the goal of 1.03"
