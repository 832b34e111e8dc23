"""The ladder of training speeds: every rung is really climbed, and what fails says why."""

import json
from dataclasses import replace

import pytest

from bench.config import PRESETS
from bench.cost.ladder import RUNGS, Rung, ladder, rungs_for
from bench.render.ladder import ladder_lines

SIZES = replace(PRESETS["smoke"], image_size=16, scale=1 / 32, batch_size=4)


@pytest.mark.slow
def test_every_rung_trains_and_is_told_at_once(avatars, capsys):
    told = []
    rungs = [Rung("fp32"), Rung("resident", resident=True, memory_format="channels_last")]
    document = ladder(["scratch"], SIZES, avatars, "cpu", rungs, lambda found: told.append(json.dumps(found)))
    found = document["contestants"]["scratch"]
    assert list(found) == ["fp32", "resident"]
    assert len(told) == 2
    for rung in found.values():
        assert rung["slowest"] <= rung["images_per_second"] <= rung["fastest"]
        assert rung["blocks"] >= 3
    first, second = (rung["losses"] for rung in found.values())
    assert abs(first[0] - second[0]) < 1e-4  # the same batch and weights
    assert capsys.readouterr().err.count("images/s") == 2
    lines = "\n".join(ladder_lines(json.loads(told[-1])))
    assert "| fp32 | " in lines
    assert "(× 1.00)" in lines


def test_a_rung_that_cannot_be_had_says_why_and_the_others_go_on(avatars):
    document = ladder(["tests.plug_in:build_broken", "scratch"], SIZES, avatars, "cpu", [Rung("fp32")])
    broken, scratch = document["contestants"].values()
    assert broken["fp32"]["why"].startswith("RunFailed: diverged at step 1")
    assert scratch["fp32"]["images_per_second"] > 0
    assert "diverged at step 1" in ladder_lines(document)[-1]


def test_a_cpu_has_no_tf32_and_bf16_only_where_it_is_real(monkeypatch):
    monkeypatch.setattr("bench.cost.ladder.has_bf16", lambda device: False)
    rungs = rungs_for("cpu", compiled=False)
    assert [rung.name for rung in rungs] == ["fp32", "fp32, channels_last", "fp32, batch on the device"]
    assert not any(rung.tf32 or rung.mixed_precision != "no" for rung in rungs)
    monkeypatch.setattr("bench.cost.ladder.has_bf16", lambda device: True)
    assert rungs_for("cuda", compiled=True) == list(RUNGS)
