"""`scratch-best`: what the blog post allows for, and what its ResNet blocks are told."""

import pytest
import torch

from bench import contestants
from bench.config import TUNED_RATES, found_rate
from bench.cost import terms
from bench.cost.account import published
from bench.cost.walk import walk
from scratch_unet.blocks import ResNetBlock
from tests.accounts import remembered_account
from tests.conftest import TINY

NAME, LIBRARY = "scratch-best", "diffusers-32"
TOLD = torch.eye(11)[[0, 3]]


@pytest.fixture(scope="module")
def cost():
    return {name: remembered_account(name, published(batch_size=128)) for name in (NAME, LIBRARY)}


def test_it_is_no_larger_than_the_blog_posts(cost):
    assert cost[NAME]["parameters"]["total"] <= 76_500_000


def test_it_takes_at_most_a_third_of_the_librarys_memory(cost):
    ours, theirs = (cost[name]["predicted_peak"]["bytes"] for name in (NAME, LIBRARY))
    assert ours <= theirs / 3


def test_it_has_the_rate_that_was_found_for_scratch(monkeypatch):
    monkeypatch.setitem(TUNED_RATES, "laptop", {"scratch": 0.123, "twin-32": 0.456})
    assert found_rate("laptop", NAME) == found_rate("laptop", f"{NAME}+heads=1") == 0.123
    assert found_rate("laptop", "twin-32-tau") == 0.456


def test_the_layer_that_tells_it_belongs_to_the_time_embedding():
    (time,) = (block for block in walk(NAME, published(batch_size=1)).blocks if "unet.told" in block.modules)
    assert time.role == terms.TIME


@pytest.mark.parametrize(("name", "hears"), [("scratch", False), (NAME, True)])
def test_every_resnet_block_is_told_the_attributes_with_the_time(name, hears):
    denoiser, times = contestants.build(name, 11, 16, TINY).eval(), []
    blocks = [module for module in denoiser.modules() if isinstance(module, ResNetBlock)]
    for block in blocks:
        block.register_forward_pre_hook(lambda _module, inputs: times.append(inputs[1]))
    with torch.no_grad():
        denoiser(torch.randn(2, 3, 16, 16), torch.full((2,), 100), TOLD)
    assert len(times) == len(blocks) == 11
    assert [torch.equal(*time) for time in times] == [not hears] * len(times)
