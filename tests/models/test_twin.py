"""The twin is the library's model by hand: the same parameters, weights, outputs, gradients and training."""

from dataclasses import replace

import pytest
import torch

from bench import contestants, randomness
from bench.contestants import PUBLISHED_CONDITION_WIDTH as WIDTH
from bench.cost.account import count_parameters
from bench.duties.candidate import awaken
from bench.training.trainer import Trainer
from scratch_unet.twin import library_state, load_library, names
from tests.conftest import TINY

PUBLISHED = {"32": 188_511_363, "16": 180_483_203, "8": 180_483_203}
SIZES = {"tiny": (TINY, 16), "laptop": (1 / 8, 32)}


def both(number, width=11, scale=TINY, image_size=16, seed=0):
    """A twin and its library model, each built from the same seed."""
    return [contestants.build(f"{kind}-{number}", width, image_size, scale, seed) for kind in ("twin", "diffusers")]


def asked(image_size, width=11, batch=2):
    generator = torch.Generator().manual_seed(3)
    noisy = torch.randn(batch, 3, image_size, image_size, generator=generator)
    return noisy, torch.tensor([7, 250])[:batch], torch.randn(batch, width, generator=generator)


@pytest.mark.parametrize("number", PUBLISHED)
def test_it_has_the_librarys_parameters_at_full_size_by_name_and_shape(number):
    with torch.device("meta"):
        twin, library = (
            contestants.contestant(f"{kind}-{number}").build(WIDTH, 64, 1.0) for kind in ("twin", "diffusers")
        )
    assert count_parameters(twin)["total"] == PUBLISHED[number]
    theirs = {name: weight.shape for name, weight in library.state_dict().items()}
    assert {other: twin.state_dict()[name].shape for name, other in names(twin).items()} == theirs


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("number", PUBLISHED)
def test_it_begins_with_the_same_weights_and_computes_the_same(number, size):
    scale, image_size = SIZES[size]
    twin, library = both(number, scale=scale, image_size=image_size)
    theirs = library.state_dict()
    assert all(torch.equal(weight, theirs[name]) for name, weight in library_state(twin).items())
    assert_same_function(twin, library, asked(image_size))


@pytest.mark.slow
@pytest.mark.parametrize("number", PUBLISHED)
def test_it_computes_the_same_at_full_size(number):
    twin, library = both(number, WIDTH, scale=1.0, image_size=64)
    assert_same_function(twin, library, asked(64, WIDTH, batch=1))


def assert_same_function(twin, library, inputs):
    """Outputs and gradients; with weights that let every branch take part."""
    load_library(twin, awaken(library))
    for model in (twin, library):
        model.zero_grad()
        model(*inputs).square().mean().backward()
    with torch.no_grad():
        torch.testing.assert_close(twin(*inputs), library(*inputs), rtol=1e-6, atol=1e-6)
    theirs = dict(library.named_parameters())
    for name, other in names(twin).items():
        torch.testing.assert_close(
            twin.get_parameter(name).grad, theirs[other].grad, rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("number", PUBLISHED)
def test_weights_go_there_and_back(number):
    twin, library = both(number)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.uniform_(-1, 1)
    library.load_state_dict(library_state(twin))
    inputs = asked(16)
    with torch.no_grad():
        torch.testing.assert_close(twin(*inputs), library(*inputs), rtol=1e-5, atol=1e-5)


def test_weights_of_another_model_are_refused():
    twin, _ = both("32")
    _, other = both("16")
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_library(twin, other)


@pytest.mark.slow
def test_a_short_training_of_both_has_the_same_losses_and_the_same_weights(config, parts):
    found = []
    for kind in ("twin-32", "diffusers-32"):
        run = replace(config, contestant=kind)
        model = contestants.build(kind, parts.train.schema.width, 16, TINY, seed=0)
        randomness.seed_default(torch.device("cpu"), 0, "contestant", 0, 0, 0)
        trainer = Trainer(model, run, parts.train)
        losses = [float(loss) for loss in trainer.steps()]
        found.append((losses, trainer.raw()))
    (ours, twin), (theirs, library) = found
    assert ours == pytest.approx(theirs, rel=1e-5)
    for name, weight in library_state(twin).items():
        torch.testing.assert_close(weight, library.state_dict()[name], rtol=1e-3, atol=1e-5)
