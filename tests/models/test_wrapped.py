"""The snippets of diffusers_unet/README.md keep the contract as they stand there."""

import re
from pathlib import Path

import pytest
import torch

README = (Path(__file__).parents[2] / "diffusers_unet" / "README.md").read_text()
SNIPPETS = dict(re.findall(r"<!-- (\w+) -->\n```python\n(.*?)```", README, re.S))


def test_every_library_has_its_snippet():
    assert SNIPPETS.keys() == {"condition", "plain", "transformer", "lucidrains"}


@pytest.mark.parametrize("name", SNIPPETS)
@pytest.mark.parametrize("scale", [1 / 8, 1 / 32])
def test_a_snippet_keeps_the_contract(name, scale):
    if name == "lucidrains":
        pytest.importorskip("denoising_diffusion_pytorch", reason="it is no dependency of ours")
    found = {}
    exec(SNIPPETS[name], found)
    torch.manual_seed(0)
    denoiser = found["build"](90, 16, scale)
    noisy, timestep = torch.randn(2, 3, 16, 16), torch.tensor([3, 200])
    prediction = denoiser(noisy, timestep, torch.zeros(2, 90))
    assert prediction.shape == noisy.shape
    prediction.square().mean().backward()
    without = [name for name, parameter in denoiser.named_parameters() if parameter.grad is None]
    assert without == []
