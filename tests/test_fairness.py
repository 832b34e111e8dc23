"""The heart of the project: whatever must be equal between contestants is equal."""

from dataclasses import replace

import pytest
import torch

from bench import contestants, randomness
from bench.config import CONTESTANTS, MATCHED, recipe_for
from bench.sampling.diffusion import noise_schedule, sample
from bench.sampling.draw import draw
from bench.training.batches import EpochBatches, epoch_batches, prepared_ahead
from bench.training.trainer import Trainer


def met_by(name, config, train, monkeypatch):
    """What a contestant is really given in two epochs of training: every batch, as the harness hands it over."""
    met = []
    denoiser = contestants.build(name, train.schema.width, config.sizes.image_size, config.sizes.scale)
    trainer = Trainer(denoiser, replace(config, contestant=name), train)
    monkeypatch.setattr(trainer, "step", lambda batch, lap: met.append(batch) or torch.zeros(()))
    for _ in range(2):
        trainer.run_epoch(lambda step, loss: None)
        trainer.end_epoch({})
    return met


def test_every_contestant_meets_the_same_images_noise_timesteps_and_conditions(config, parts, monkeypatch):
    runs = {name: met_by(name, config, parts.train, monkeypatch) for name in CONTESTANTS}
    reference = runs.pop("scratch")
    assert len(reference) == 2 * (len(parts.train) // config.sizes.batch_size)
    for met in runs.values():
        for ours, theirs in zip(reference, met, strict=True):
            for field in ("images", "noise", "timestep", "condition"):
                assert torch.equal(getattr(ours, field), getattr(theirs, field))


def test_epochs_differ_and_seeds_differ(config, parts):
    first = next(epoch_batches(parts.train, config, 0))
    for other_config, epoch in ((config, 1), (replace(config, seed=1), 0)):
        other = next(epoch_batches(parts.train, other_config, epoch))
        for field in ("images", "noise", "timestep"):
            assert not torch.equal(getattr(first, field), getattr(other, field))


def test_batches_do_not_depend_on_what_ran_before(config, parts):
    """Building another model, or drawing numbers, changes nothing: no randomness has a history."""
    first = list(epoch_batches(parts.train, config, 0))
    torch.manual_seed(123)
    torch.randn(1000)
    contestants.build("diffusers-8", 4, 16, 1 / 32)
    second = list(epoch_batches(parts.train, config, 0))
    assert all(torch.equal(a.noise, b.noise) for a, b in zip(first, second, strict=True))


def test_batches_prepared_ahead_are_the_same_and_an_error_is_not_lost(config, parts):
    at_once = list(epoch_batches(parts.train, config, 0))
    batches = EpochBatches(parts.train, config, 0)
    ahead = list(prepared_ahead(batches.__getitem__, range(len(batches))))
    assert len(ahead) == len(at_once) > 2
    assert all(
        torch.equal(a.noise, b.noise) and torch.equal(a.images, b.images) for a, b in zip(ahead, at_once, strict=True)
    )

    def failing(step):
        if step == 3:
            raise ValueError("no more")
        return at_once[step]

    with pytest.raises(ValueError, match="no more"):
        list(prepared_ahead(failing, range(len(batches))))


def test_noise_and_timesteps_are_what_they_should_be(config, parts):
    noise = randomness.normal(0, "noise", 0, range(64), (3, 16, 16))
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.02
    assert len({row.numpy().tobytes() for row in noise}) == 64
    uniform = randomness.uniform(0, "timestep", 0, 10_000)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 0.02
    assert torch.equal(randomness.epoch_order(0, 0, 50).sort().values, torch.arange(50))


def test_about_a_tenth_of_the_conditions_is_dropped_and_the_rest_untouched(config, parts):
    batches = [b for epoch in range(20) for b in epoch_batches(parts.train, config, epoch)]
    sums = torch.cat([b.condition.sum(1) for b in batches])
    assert set(sums.tolist()) == {0.0, float(len(parts.train.schema.attributes))}
    assert 0.07 < (sums == 0).float().mean() < 0.13


def test_matched_is_one_recipe_for_all_and_source_is_each_as_published_for_its_family():
    assert {recipe_for("matched", name) for name in CONTESTANTS} == {MATCHED}
    for name in CONTESTANTS:
        published = ("adam", "step") if name.startswith("scratch") else ("adamw", "cosine")
        optimisation = recipe_for("source", name).optimisation
        assert (optimisation.optimizer, optimisation.schedule) == published
    alike = {replace(recipe_for("source", name), optimisation=MATCHED.optimisation) for name in CONTESTANTS}
    assert len(alike) == 1


@pytest.mark.parametrize("name", CONTESTANTS)
def test_the_optimiser_and_its_schedule_are_the_same_for_all(name, config, parts):
    denoiser = contestants.build(name, parts.train.schema.width, 16, config.sizes.scale)
    trainer = Trainer(denoiser, replace(config, contestant=name), parts.train)
    group = dict(trainer.optimizer.param_groups[0])
    assert len(group.pop("params")) == len(list(denoiser.parameters()))  # nobody's weights are left out
    rates = []
    for _ in range(6):
        rates.append(trainer.lr_schedule.get_last_lr()[0])
        trainer.optimizer.step()
        trainer.lr_schedule.step()
    assert type(trainer.optimizer.optimizer).__name__ == "AdamW"
    assert group["betas"] == (0.9, 0.999)
    assert group["weight_decay"] == MATCHED.optimisation.weight_decay
    assert set(rates[1:]) == {config.sizes.learning_rate}  # until a budget ends, which has tests of its own


def test_initial_latents_belong_to_the_sample_and_not_to_the_batch(config):
    """Samples drawn together or one by one, by any contestant, start from the same latents."""
    starts = []

    def spy(noisy, timestep, condition):
        starts.append(noisy.clone())
        return torch.zeros_like(noisy)

    recipe = replace(MATCHED, sampling_steps=1, guidance=1.0)
    sample(spy, recipe, torch.zeros(4, 5), 8, seed=0, indices=range(4), guidance=1.0)
    for i in range(4):
        sample(spy, recipe, torch.zeros(1, 5), 8, seed=0, indices=range(i, i + 1), guidance=1.0)
    assert torch.equal(starts[0], torch.cat(starts[1:]))


@pytest.mark.parametrize("changes", [{"centred": False}, {"one_hot": False}, {}])
def test_a_recipe_shows_pixels_and_conditions_its_own_way_and_draws_in_the_same_pixels(changes, config, parts):
    """A model that knows the picture draws that picture, whatever the pixels are to it."""
    recipe = replace(config.recipe, ema_decay=None, sampling_steps=3, **changes)
    config = replace(config, recipe=recipe)
    seen, batch = parts.train.seen_by(recipe), next(epoch_batches(parts.train.seen_by(recipe), config, 0))
    assert (float(batch.images.min()) < 0) == recipe.centred
    assert (float(batch.condition.max()) > 1) == (not recipe.one_hot)
    picture, alphas = seen.in_model_space(slice(2)), noise_schedule(recipe).alphas_cumprod

    def knows(noisy, timestep, condition):  # v of the picture
        left = alphas[timestep][:, None, None, None]
        noise = (noisy - left.sqrt() * picture) / (1 - left).sqrt()
        return left.sqrt() * noise - (1 - left).sqrt() * picture

    drawn = draw(knows, config, seen.conditions[:2], torch.device("cpu"))
    assert int((drawn.int() - parts.train.images[:2].int()).abs().max()) <= 1


@pytest.mark.parametrize("kind", ["ddim", "ddpm"])
def test_batching_changes_no_sample(kind):
    def denoiser(noisy, timestep, condition):
        return 0.3 * noisy + condition[:, :3, None, None]

    recipe = replace(MATCHED, sampler=kind, sampling_steps=5)
    condition = torch.rand(4, 5)
    whole = sample(denoiser, recipe, condition, 8, 0, range(4), 2.0)
    parts = [sample(denoiser, recipe, condition[i : i + 1], 8, 0, range(i, i + 1), 2.0) for i in range(4)]
    torch.testing.assert_close(whole, torch.cat(parts), rtol=0, atol=1e-6)
