"""The diffusion mathematics, against an oracle that knows the answer."""

from dataclasses import replace

import pytest
import torch

from bench.config import MATCHED, SOURCE
from bench.sampling.diffusion import (
    final_signal,
    guided,
    noise_schedule,
    sample,
    sampler,
    training_loss,
    wrong_steps,
)

RECIPES = [MATCHED, replace(MATCHED, prediction="epsilon"), SOURCE, replace(SOURCE, prediction="v_prediction")]


def oracle(recipe, images):
    """A denoiser that knows the clean images and so predicts ε or v without error."""
    schedule = noise_schedule(recipe)

    def predict(noisy, timestep, condition):
        signal = schedule.alphas_cumprod[timestep][:, None, None, None]
        clean = images.repeat(len(noisy) // len(images), 1, 1, 1)
        noise = (noisy - signal.sqrt() * clean) / (1 - signal).sqrt()
        return noise if recipe.prediction == "epsilon" else signal.sqrt() * noise - (1 - signal).sqrt() * clean

    return predict


@pytest.fixture
def images():
    return torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: f"{r.name}-{r.prediction}")
def test_an_oracle_has_no_loss(recipe, images):
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    timestep = torch.tensor([1, 50, 200, 299])
    loss = training_loss(oracle(recipe, images), noise_schedule(recipe), images, torch.zeros(4, 2), noise, timestep)
    assert loss < 1e-9


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: f"{r.name}-{r.prediction}")
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_an_oracle_restores_its_image(recipe, images, guidance):
    recipe = replace(recipe, sampler="ddim", sampling_steps=30)
    restored = sample(oracle(recipe, images), recipe, torch.ones(4, 2), 8, 0, range(4), guidance)
    torch.testing.assert_close(restored, images, rtol=0, atol=2e-3)


@pytest.mark.parametrize("timesteps", [300, 500])
def test_an_oracle_restores_its_image_in_every_number_of_steps_that_may_be_asked_for(timesteps, images):
    """And in no other: there diffusers steps back to timesteps that do not come next."""
    recipe = replace(MATCHED, timesteps=timesteps)
    for steps in range(1, timesteps + 1):
        assert (wrong_steps(steps, timesteps) is None) == (timesteps % steps == 0)
        if timesteps % steps == 0:
            met = [int(each) for each in sampler(replace(recipe, sampling_steps=steps)).timesteps]
            assert met == [timesteps - 1 - number * (timesteps // steps) for number in range(steps)]
    for steps in (1, 5, 20, 100):
        few = replace(recipe, sampling_steps=steps)
        restored = sample(oracle(few, images), few, torch.ones(4, 2), 8, 0, range(4), 1.0)
        torch.testing.assert_close(restored, images, rtol=0, atol=5e-3)


def test_a_number_of_steps_that_does_not_divide_the_timesteps_is_refused_with_the_nearest_ones():
    assert wrong_steps(40, 300) == "40 sampling steps do not divide the schedule's 300 timesteps: take 30 or 50"
    assert wrong_steps(0, 300).endswith("take 1")
    assert wrong_steps(400, 300).endswith("take 300")


def test_every_sampler_begins_at_the_noisiest_timestep():
    for kind in ("ddim", "ddpm"):
        assert int(sampler(replace(MATCHED, sampler=kind, sampling_steps=20)).timesteps[0]) == MATCHED.timesteps - 1


def test_an_oracle_restores_its_image_by_full_ddpm(images):
    restored = sample(oracle(SOURCE, images), SOURCE, torch.ones(4, 2), 8, 0, range(4), 2.0)
    torch.testing.assert_close(restored, images, rtol=0, atol=2e-2)


def test_the_schedules_are_as_the_recipes_say():
    assert final_signal(MATCHED) < 0.01
    assert final_signal(SOURCE) == pytest.approx(0.30, abs=0.01)


def test_guidance_extrapolates_from_the_unconditional_prediction(images):
    def denoiser(noisy, timestep, condition):
        return condition.sum(1)[:, None, None, None].expand_as(noisy) + 1

    condition = torch.full((4, 2), 1.5)
    for guidance, expected in ((0.0, 1.0), (1.0, 4.0), (3.0, 10.0)):
        out = guided(denoiser, images, torch.zeros(4, dtype=torch.long), condition, guidance)
        torch.testing.assert_close(out, torch.full_like(images, expected))


def test_clipped_sampling_stays_sharp_under_strong_guidance(images):
    """A denoiser whose guided x0 lies far outside [-1, 1]: ε must follow the clipped x0, or noise is left behind."""
    target = torch.ones_like(images) * 0.9
    recipe = replace(MATCHED, prediction="v_prediction")
    schedule = noise_schedule(recipe)

    def denoiser(noisy, timestep, condition):
        signal = schedule.alphas_cumprod[timestep][:, None, None, None]
        clean = target[:1] * condition[:, :1, None, None]
        noise = (noisy - signal.sqrt() * clean) / (1 - signal).sqrt()
        return signal.sqrt() * noise - (1 - signal).sqrt() * clean

    out = sample(denoiser, recipe, torch.ones(4, 2), 8, 0, range(4), 5.0)
    assert out.std() < 0.02
