"""The figures of the blog post, to the digit, read off models that take no memory."""

import pytest
import torch

from bench import contestants
from bench.cost.account import Setting, published
from bench.cost.anatomy import MIB
from tests.accounts import remembered_account

PUBLISHED = {  # total, UNet alone, weights, Adam and gradients in MiB
    "diffusers-32": (188_511_363, 117_077_123, 719.11, 1438.23, 719.11),
    "diffusers-16": (180_483_203, 109_048_963, 688.49, 1376.98, 688.49),
    "diffusers-8": (180_483_203, 109_048_963, 688.49, 1376.98, 688.49),
}


@pytest.fixture(scope="module")
def cost():
    return {name: remembered_account(name, published(batch_size=128)) for name in ("scratch", *PUBLISHED)}


@pytest.mark.parametrize("name", PUBLISHED)
def test_diffusers_models_equal_the_published_figures(name, cost):
    total, unet, weights, adam, gradients = PUBLISHED[name]
    assert cost[name]["parameters"] == {"total": total, "unet": unet, "tau": total - unet}
    mib = [round(cost[name][key] / MIB, 2) for key in ("weights_bytes", "adam_bytes", "gradients_bytes")]
    assert mib == [weights, adam, gradients]


def test_scratch_is_within_a_thousandth_of_the_published_total(cost):
    assert cost["scratch"]["parameters"]["total"] == pytest.approx(76_464_439, rel=1e-3)
    assert cost["scratch"]["weights_bytes"] / MIB == pytest.approx(291.69, rel=1e-3)
    assert cost["scratch"]["adam_bytes"] / MIB == pytest.approx(583.38, rel=1e-3)


def test_scratch_attends_with_four_heads_on_both_paths(cost):
    attention = cost["scratch"]["attention"]
    assert {a["heads"] for a in attention} == {4}
    assert {a["kind"] for a in attention} == {"cross"}
    places = [(a["where"].split(".")[1], a["query_tokens"]) for a in attention]
    assert places == [("down", 16 * 16), ("down", 8 * 8), ("middle", 8 * 8), ("up", 16 * 16)]


def test_scratch_has_the_published_down_path():
    denoiser = contestants.build_on_meta("scratch", 217, 64, 1.0)
    shapes = []
    for stage in denoiser.unet.down.values():
        stage[-1].register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape[1:])))
    with torch.device("meta"):
        denoiser(torch.zeros(2, 3, 64, 64), torch.zeros(2, dtype=torch.long), torch.zeros(2, 217))
    assert shapes == [(128, 64, 64), (256, 32, 32), (512, 16, 16), (1024, 8, 8)]


def test_attention_head_dim_is_the_number_of_heads(cost):
    """diffusers#2011: 32 means 32 heads of width 4, 8 and 16."""
    attention = cost["diffusers-32"]["attention"]
    assert {a["heads"] for a in attention} == {32}
    assert {a["head_width"] for a in attention} == {4, 8, 16}
    # "only_cross_attention" does not reach the library's middle block: it keeps its self attention
    assert {a["kind"] for a in attention if "mid_block" not in a["where"]} == {"cross"}
    assert [a["kind"] for a in attention if "mid_block" in a["where"]] == ["self", "cross"]
    assert {a["kind"] for a in cost["diffusers-16"]["attention"]} == {"cross", "self"}


@pytest.mark.slow
def test_scratch_keeps_its_four_heads_at_every_scale(cost):
    for scale in (1 / 4, 1 / 8, 1 / 32):
        small = remembered_account("scratch", Setting(98, 64, scale, batch_size=1))
        assert {a["heads"] for a in small["attention"]} == {4}
        assert [a["head_width"] for a in small["attention"]] == [
            a["head_width"] * scale for a in cost["scratch"]["attention"]
        ]
        assert small["time_embedding"] == {"frequencies": 128 * scale, "width": 256 * scale}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["diffusers-32", "diffusers-16", "diffusers-8"])
def test_head_width_stays_as_published_at_a_quarter_of_the_scale(name, cost):
    quarter = remembered_account(name, Setting(98, 64, 1 / 4, batch_size=1))["attention"]
    assert [a["head_width"] for a in quarter] == [a["head_width"] for a in cost[name]["attention"]]
    assert {a["heads"] * 4 for a in quarter} == {a["heads"] for a in cost[name]["attention"]}
