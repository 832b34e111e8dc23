"""A denoiser that does not look at its condition is found out, and the legend says so."""

from dataclasses import replace

import torch
from torch import nn

from bench import contestants
from bench.duties.candidate import awaken
from bench.quality.condition import ignores_condition
from bench.render.table.column import columns
from bench.render.table.legend import legend
from bench.sampling.diffusion import noise_schedule
from tests.conftest import TINY
from tests.made_up import bare_record


def asked(denoiser, config, parts):
    schedule = noise_schedule(config.recipe)
    return ignores_condition(denoiser.eval(), schedule, parts.test, torch.device("cpu"), torch.channels_last)


def test_who_looks_at_the_condition_is_told_from_who_does_not(config, parts):
    width = parts.test.schema.width
    assert not asked(awaken(contestants.build("scratch", width, 16, TINY)), config, parts)
    assert not asked(contestants.build("tests.plug_in:build", width, 16, TINY), config, parts)
    assert asked(contestants.build("tests.hostile_plug_in:build_talking", width, 16, TINY), config, parts)


class Random(nn.Module):
    """Draws numbers of its own at every call."""

    def forward(self, noisy, timestep, condition):
        return torch.randn_like(noisy)


def test_random_numbers_of_its_own_are_not_taken_for_a_look_at_the_condition(config, parts):
    assert asked(Random(), config, parts)


def test_the_legend_names_who_ignores_its_condition(config):
    ignoring = bare_record(config, measurements={"ignores_condition": True})
    looking = bare_record(replace(config, contestant="diffusers-32"))
    said = [line for line in legend(columns([ignoring, looking])) if "ignores its condition" in line]
    assert said == ["**scratch ignores its condition:** it predicts the same whatever attributes are asked."]
