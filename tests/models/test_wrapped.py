"""Every peer in diffusers_unet/peers keeps the contract as it stands there."""

import importlib
from pathlib import Path

import pytest
import torch

import diffusers_unet.peers

FILES = sorted(Path(diffusers_unet.peers.__file__).parent.glob("[!_]*.py"))
PAGE = (Path(diffusers_unet.peers.__file__).parents[1] / "README.md").read_text()


def test_the_page_names_every_peer():
    assert len(FILES) == 4
    assert all(f"(peers/{file.name})" in PAGE for file in FILES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@pytest.mark.parametrize("scale", [1 / 8, 1 / 32])
def test_a_peer_keeps_the_contract(file, scale):
    if file.stem == "extra_channels":
        pytest.importorskip("denoising_diffusion_pytorch", reason="it is in the extra [peers]")
    build = importlib.import_module(f"diffusers_unet.peers.{file.stem}").build
    torch.manual_seed(0)
    denoiser = build(90, 16, scale)
    noisy, timestep = torch.randn(2, 3, 16, 16), torch.tensor([3, 200])
    prediction = denoiser(noisy, timestep, torch.zeros(2, 90))
    assert prediction.shape == noisy.shape
    prediction.square().mean().backward()
    without = [name for name, parameter in denoiser.named_parameters() if parameter.grad is None]
    assert without == []
