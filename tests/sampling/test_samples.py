"""Which samples a run draws, that they are comparable, and that they are drawn once."""

from dataclasses import replace

import pytest
import torch

from bench import contestants
from bench.config import SOURCE
from bench.duties.candidate import awaken
from bench.quality.score import curve, real_side, within
from bench.sampling import samples
from bench.sampling.diffusion import noise_schedule
from bench.training.validation import LEVELS, validation_losses, validation_timesteps

CPU = torch.device("cpu")


@pytest.fixture
def denoiser(config, avatars):
    return awaken(contestants.build("scratch", avatars.schema.width, 16, config.sizes.scale, 0)).eval()


def test_the_sweep_has_the_sources_scales_and_the_full_sampler_all_steps(config):
    assert samples.FULL not in {series.name for series in samples.series_of(config)}  # none in smoke
    config = replace(config, sizes=replace(config.sizes, full_samples=2))
    found = {series.name: series for series in samples.series_of(config)}
    assert found[samples.MAIN].count == config.sizes.samples
    scales = {0.0, 2.0, 3.0, 5.0, 7.0, 9.0}  # 1 is the recipe's own
    assert {s.guidance for name, s in found.items() if name.startswith("guidance")} == scales
    assert found[samples.FULL].recipe.sampling_steps == config.recipe.timesteps
    assert found[samples.FULL].recipe.sampler == "ddpm"
    assert found[samples.FULL].recipe.timesteps == config.recipe.timesteps
    source = replace(config, recipe=SOURCE)  # samples in full already
    assert samples.FULL not in {series.name for series in samples.series_of(source)}


def test_series_differ_in_guidance_alone_and_are_drawn_once(config, parts, denoiser, tmp_path):
    config = replace(config, sizes=replace(config.sizes, samples=4, sweep_samples=2))
    conditions, drawn, advanced = parts.test.conditions[:4], {}, []
    plan = [series for series in samples.series_of(config) if series.name != samples.FULL]
    for _ in range(2):
        for series in plan:
            drawn[series.name] = samples.kept_samples(
                tmp_path, series, denoiser, config, conditions, CPU, advanced.append
            )
    assert sum(advanced) == 4 + 6 * 2  # the second time, all were found
    with torch.no_grad():
        next(denoiser.parameters()).mul_(2)
    other = samples.kept_samples(tmp_path, plan[0], denoiser, config, conditions, CPU, advanced.append)
    assert sum(advanced) == 4 + 6 * 2 + 4  # other weights: those kept are not theirs
    assert not torch.equal(other.images, drawn[samples.MAIN].images)
    with torch.no_grad():
        next(denoiser.parameters()).div_(2)
    sweep = samples.by_guidance(config, drawn)
    assert [scale for scale, _ in sweep] == list(samples.GUIDANCES)
    again = samples.Series("again", 2, 2.0, config.recipe)
    same = samples.kept_samples(tmp_path, again, denoiser, config, conditions, CPU, advanced.append)
    assert torch.equal(same.images, dict(sweep)[2.0])  # the first samples of the scored ones: same latents
    assert not torch.equal(dict(sweep)[9.0], dict(sweep)[2.0])


def test_guidance_zero_does_not_depend_on_the_condition(config, parts, denoiser, tmp_path):
    series = samples.Series("none", 2, 0.0, config.recipe)
    first, second = (
        samples.kept_samples(tmp_path / str(i), series, denoiser, config, parts.test.conditions[i : i + 2], CPU, int)
        for i in (0, 2)
    )
    assert torch.equal(first.images, second.images)


def test_the_validation_loss_is_fixed_and_falls_where_the_denoiser_is_right(config, parts, denoiser):
    schedule = noise_schedule(config.recipe)

    def losses(model):
        return validation_losses(model, schedule, parts.test, 64, CPU, torch.channels_last)

    assert losses(denoiser) == losses(denoiser)
    assert len(losses(denoiser)) == LEVELS
    nothing = losses(lambda noisy, timestep, condition: torch.zeros_like(noisy))
    halved = losses(lambda noisy, timestep, condition: 2 * noisy)
    assert all(a < b for a, b in zip(nothing, halved, strict=True))
    assert validation_timesteps(300) == [18, 56, 93, 131, 168, 206, 243, 281]


def test_a_curve_counts_images_seconds_and_arithmetic():
    log = {
        "images_per_epoch": 10,
        "points": [
            {"steps": 3, "images": 15, "seconds": 2.0, "validation": {"raw": [1.0, 3.0]}},
            {"steps": 4, "images": 20, "seconds": 5.0, "validation": {"raw": [1.0, 1.0], "averaged": [0.5, 0.5]}},
        ],
    }
    points = curve({3: {"accuracy": 0.5}}, log, {"images=20": 4, "pflop=1": 4}, 7.0)
    assert [(p["epoch"], p["images"], p["seconds"], p["training_flop"], p["budgets"]) for p in points] == [
        (1.5, 15, 2.0, 105.0, []), (2, 20, 5.0, 140.0, ["images=20", "pflop=1"]),
    ]  # fmt: skip
    assert points[0]["accuracy"] == 0.5
    assert "accuracy" not in points[1]
    assert points[1]["validation_loss"] == {"raw": 1.0, "averaged": 0.5}
    assert curve({}, log, {}, None)[0]["training_flop"] is None


def test_the_real_side_is_of_other_conditions_where_there_are_enough():
    rows, others = real_side(held_out=1000, asked=512)
    assert (rows.tolist(), others) == (list(range(512, 1000)), True)
    rows, others = real_side(held_out=1000, asked=400)
    assert (len(rows), rows[0], others) == (400, 400, True)
    rows, others = real_side(held_out=1000, asked=2048)
    assert (rows.tolist(), others) == (list(range(1000)), False)


def test_samplers_agree_only_where_the_intervals_say_so():
    assert within((0.01, [-0.005, 0.008]), (0.05, [-0.04, 0.03])) is True
    assert within((0.01, [-0.005, 0.008]), (0.05, [0.06, 0.2])) is False
    assert within((0.01, [-0.05, 0.08]), (0.05, [-0.04, 0.03])) is None
