"""`scratch-best`: what the blog post allows for, and what its ResNet blocks are told."""

import pytest
import torch

from bench import contestants
from bench.config import found_rate
from bench.cost.account import published
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


def test_it_has_the_rate_that_was_found_for_scratch():
    assert found_rate("laptop", NAME) == found_rate("laptop", "scratch")


@pytest.mark.parametrize(("name", "hears"), [("scratch", False), (NAME, True)])
def test_every_resnet_block_is_told_the_attributes_through_the_time_embedding(name, hears):
    """Without attention, the context reaches a prediction only where it is added to the time embedding."""
    denoiser = contestants.build(name, 11, 16, TINY).eval()
    for stage in (*denoiser.unet.down.values(), denoiser.unet.middle, *denoiser.unet.up.values()):
        for block in stage.children():
            block.attention = None
    noisy, timestep = torch.randn(1, 3, 16, 16).expand(2, -1, -1, -1), torch.full((2,), 100)
    with torch.no_grad():
        one, other = denoiser(noisy, timestep, TOLD)
    assert torch.equal(one, other) is not hears
