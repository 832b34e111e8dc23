"""Models that are timed by turns: the order of the turns, and the ratios of what was found."""

import itertools
from collections import Counter
from pathlib import Path

import pytest

from bench.cost.turns import PARTS, Timing, orders, ratios
from bench.render.implementation import about_turns


@pytest.mark.parametrize("count", [2, 4, 18])
def test_every_model_follows_every_other_one_once(count):
    follows = Counter(pair for order in orders(count) for pair in itertools.pairwise(order))
    assert follows == Counter(itertools.permutations(range(count), 2))


@pytest.mark.parametrize("count", [1, 4, 5])
def test_every_model_stands_once_at_every_place(count):
    assert all(sorted(places) == list(range(count)) for places in zip(*orders(count), strict=True))


def test_a_ratio_is_the_median_over_rounds_and_not_of_medians():
    ours = {part: [2.0, 4.0, 30.0, 2.0, 2.0, 2.0, 2.0] for part in PARTS}
    theirs = {part: [1.0, 1.0, 10.0, 1.0, 1.0, 1.0, 1.0] for part in PARTS}
    found = ratios({"ours": ours, "theirs": theirs}, "ours", "theirs")["step"]
    assert found["median"] == 2
    assert found["ratios"] == [2, 4, 3, 2, 2, 2, 2]
    assert (found["low"], found["high"]) == (2, 4)


def test_a_batch_and_a_precision_of_ones_own_are_used_and_told(avatars):
    timing = Timing("full", 9, 1, "cpu", "contiguous", Path(), batch_size=32, mixed_precision="bf16")
    config, document = timing.config("scratch", avatars), timing.as_dict(None)
    assert (config.sizes.batch_size, config.mixed_precision, config.sizes.image_size) == (32, "bf16", 64)
    assert "scale 1, batch 32, bf16, contiguous." in about_turns(document)
    assert "batch 128, contiguous." in about_turns(Timing("full", 9, 1, "cpu", "contiguous", Path()).as_dict(None))
