"""What every contestant owes the harness, whoever wrote it."""

import pytest
import torch

import scratch_unet
from bench import contestants
from bench.config import CONTESTANTS
from bench.errors import BadInput
from tests.conftest import TINY, awaken

WIDTH, SIZE, BATCH = 11, 16, 3


@pytest.fixture(scope="module", params=CONTESTANTS)
def denoiser(request):
    return awaken(contestants.build(request.param, WIDTH, SIZE, TINY)).eval()


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(0)
    noisy = torch.randn(BATCH, 3, SIZE, SIZE, generator=generator)
    condition = torch.randint(0, 2, (BATCH, WIDTH), generator=generator).float()
    condition[:, 0] = 1  # never the unconditional row
    return noisy, torch.tensor([5, 100, 299]), condition


def test_shape_and_finite(denoiser, inputs):
    prediction = denoiser(*inputs)
    assert prediction.shape == inputs[0].shape
    assert torch.isfinite(prediction).all()


def test_every_parameter_gets_a_gradient(denoiser, inputs):
    denoiser.zero_grad()
    denoiser(*inputs).square().mean().backward()
    idle = [n for n, p in denoiser.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert idle == []


def test_reacts_to_the_timestep(denoiser, inputs):
    noisy, timestep, condition = inputs
    assert (denoiser(*inputs) - denoiser(noisy, timestep.flip(0), condition))[0].abs().max() > 1e-4


def test_reacts_to_every_attribute(denoiser, inputs):
    noisy, timestep, condition = inputs
    before = denoiser(*inputs)
    for i in range(WIDTH):
        other = condition.clone()
        other[:, i] = 1 - other[:, i]
        assert (denoiser(noisy, timestep, other) - before).flatten(1).abs().amax(1).min() > 1e-6


def test_a_zero_condition_differs_from_any_other(denoiser, inputs):
    noisy, timestep, condition = inputs
    unconditional = denoiser(noisy, timestep, torch.zeros_like(condition))
    assert (unconditional - denoiser(*inputs)).flatten(1).abs().amax(1).min() > 1e-5


def test_rows_are_independent(denoiser, inputs):
    whole = denoiser(*inputs)
    alone = torch.cat([denoiser(*(x[i : i + 1] for x in inputs)) for i in range(BATCH)])
    torch.testing.assert_close(whole, alone, rtol=1e-4, atol=1e-5)


def test_saves_and_loads_as_diffusers_models_do(denoiser, inputs, tmp_path):
    denoiser.save_pretrained(tmp_path)
    assert [p.suffix for p in tmp_path.iterdir() if p.suffix != ".json"] == [".safetensors"]
    again = type(denoiser).from_pretrained(tmp_path).eval()
    torch.testing.assert_close(again(*inputs), denoiser(*inputs), rtol=0, atol=0)


@pytest.mark.parametrize("name", CONTESTANTS)
def test_same_seed_same_weights(name):
    first, second, other = (contestants.build(name, WIDTH, SIZE, TINY, seed) for seed in (3, 3, 4))
    same = [torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True)]
    assert all(same)
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("name", CONTESTANTS)
@pytest.mark.parametrize(("size", "scale", "word"), [(30, TINY, "image size 30"), (16, 0.3, "scale 0.3")])
def test_refuses_sizes_that_do_not_divide(name, size, scale, word):
    with pytest.raises(BadInput, match=word):
        contestants.build_on_meta(name, WIDTH, size, scale)


def test_plug_in_contestants_are_loaded_by_name():
    assert contestants.contestant("scratch_unet:build").build is scratch_unet.build


@pytest.mark.parametrize(
    ("name", "word"),
    [("scrach", "scratch"), ("no.such:model", "cannot be loaded"), ("scratch_unet:nothing", "cannot be loaded")],
)
def test_unknown_contestants_are_refused_with_a_remedy(name, word):
    with pytest.raises(BadInput, match=word):
        contestants.contestant(name)
