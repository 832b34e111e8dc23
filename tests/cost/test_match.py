"""The scale at which a contestant costs as much as another one."""

import re
from dataclasses import replace

import pytest

from bench.cost.account import Setting
from bench.cost.match import PARTS, cost, matching_scales, nearest
from bench.errors import BadInput
from bench.storage.records import read_records
from tests.faults.running import cache  # noqa: F401 - a fixture
from tests.invoking import bench

SETTING = Setting(20, 16, 1 / 8, 4)


@pytest.mark.parametrize("begin", [1 / 64, 1 / 8, 2.0])
def test_the_nearest_scale_of_a_known_cost_is_found(begin):
    assert nearest(100.0, begin, lambda scale: 400 * scale**2) == (0.5, 100.0)


def test_scales_that_cannot_be_built_are_passed_over():
    def cost_at(scale):
        if round(scale * PARTS) % 2:
            raise BadInput("no such size")
        return scale

    assert nearest(0.33, 1 / 8, cost_at) == (0.34375, 0.34375)  # 22 of 64
    with pytest.raises(BadInput, match="it can be built at none of the scales that were tried"):
        nearest(0.33, 1 / 8, lambda scale: cost_at(1 / PARTS))


@pytest.mark.parametrize("begin", [1 / 8, 3 / 8, 3.0])
def test_a_model_that_only_large_scales_can_build_is_found(begin):
    def cost_at(scale):
        if scale < 1 / 4 or scale % (1 / 8):
            raise BadInput("no such size")
        return scale

    assert nearest(0.26, begin, cost_at) == (0.25, 0.25)
    assert nearest(1.1, begin, cost_at) == (1.125, 1.125)


@pytest.mark.parametrize("kind", ["parameters", pytest.param("flops", marks=pytest.mark.slow)])
def test_the_library_at_the_cost_of_the_hand_written_model(kind):
    names = ["scratch", "diffusers-32"]
    (first, same), (scale, times) = matching_scales(names, kind, SETTING).values()
    assert (first, same) == (SETTING.scale, 1.0)
    assert times == cost("diffusers-32", kind, replace(SETTING, scale=scale)) / cost("scratch", kind, SETTING)
    assert 0.8 < times < 1.25
    assert scale < 1 / 8  # of the same channels it costs more


def test_what_comes_nowhere_near_is_one_line():
    """The smallest one of another kind is still too large."""
    with pytest.raises(
        BadInput, match="--match parameters: scratch comes no nearer than .* times the parameters of te"
    ):
        matching_scales(["tests.plug_in:build", "scratch"], "parameters", SETTING)


@pytest.mark.slow
def test_the_command_says_what_scale_each_has(tmp_path, cache):
    """And a rehearsal of the runs goes through with them."""
    done = bench("run", "--contestants=scratch,diffusers_unet.peers.time_embedding:build", "--match=parameters",
                 "--max-steps=1", "--out", tmp_path, "--cache", cache)  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = dict(re.findall(r"^(\S+): scale ([\d.]+), ", done.stderr, re.M))
    scales = {record.run.contestant: f"{record.run.sizes.scale:g}" for record in read_records(tmp_path)}
    assert told == scales
    assert len(set(scales.values())) == 2
