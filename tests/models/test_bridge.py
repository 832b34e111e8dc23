"""The steps between `scratch` and `twin-32`: single changes that together are all there is."""

import re
from collections import Counter
from dataclasses import asdict
from functools import reduce

import pytest
import torch

from bench import config, contestants
from bench.duties.candidate import awaken
from bench.errors import BadInput
from scratch_unet.architecture import CHANGES, LIBRARY_32, SCRATCH, architecture_of, changed
from tests.conftest import TINY


def test_every_difference_is_in_one_change():
    ours, theirs = asdict(SCRATCH), asdict(LIBRARY_32)
    different = {field for field in ours if ours[field] != theirs[field]}
    assert Counter(field for fields in CHANGES.values() for field in fields) == Counter(different)


def test_all_changes_lead_from_one_to_the_other():
    over = reduce(lambda made, change: changed(made, LIBRARY_32, change), CHANGES, SCRATCH)
    assert over == LIBRARY_32
    back = reduce(lambda made, change: changed(made, SCRATCH, change), CHANGES, LIBRARY_32)
    assert back == SCRATCH


def test_each_has_a_name_of_its_own():
    assert tuple(CHANGES) == config.CHANGES
    assert config.contestant_names("bridge") == list(config.BRIDGE)
    named = ["scratch", *config.TWINS, *config.BRIDGE]
    assert len({repr(architecture_of(name)) for name in named}) == len(named)


def test_a_name_may_hold_several_changes():
    assert architecture_of("scratch+" + "+".join(CHANGES)) == LIBRARY_32
    assert architecture_of("twin-32-" + "-".join(CHANGES)) == SCRATCH
    some, others = list(CHANGES)[:3], list(CHANGES)[3:]
    assert architecture_of("scratch+" + "+".join(some)) == architecture_of("twin-32-" + "-".join(others))
    assert contestants.contestant("scratch+tau+heads=2").name == "scratch+tau+heads=2"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("scratch+tow", "unknown contestant 'scratch+tow'"),
        ("twin-32+tau", "unknown contestant"),
        ("scratch+heads+tau", "write each change once, and in one order: scratch+tau+heads"),
        ("twin-32-tau-tau", "write each change once, and in one order: twin-32-tau"),
        ("twin-16-tau", "unknown contestant"),
        ("diffusers-32-tau", "unknown contestant"),
        ("diffusers-32+heads=1", "the library's models have no variants: use its twin's"),
    ],
)
def test_what_is_no_name_is_refused(name, why):
    with pytest.raises(BadInput, match=re.escape(why)):
        contestants.contestant(name)


@pytest.mark.parametrize("name", config.BRIDGE)
def test_each_is_a_denoiser_of_which_everything_learns(name):
    denoiser = awaken(contestants.build(name, 11, 16, TINY))
    noisy = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    condition = torch.arange(22).reshape(2, 11) % 2.0
    prediction = denoiser(noisy, torch.tensor([5, 299]), condition)
    assert prediction.shape == noisy.shape
    prediction.square().mean().backward()
    assert [n for n, p in denoiser.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []
