"""A contestant at one size, built and called as the duties need it."""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench import contestants
from bench.contract import predict

SEED, OTHER_SEED = 3, 4


class Inputs(NamedTuple):
    """What a denoiser is called with."""

    noisy: Tensor  # (B, 3, H, W)
    timestep: Tensor  # (B,)
    condition: Tensor  # (B, D)


@dataclass(frozen=True)
class Candidate:
    """A contestant at one size, to hold the duties against."""

    name: str
    condition_width: int
    image_size: int
    scale: float

    def build(self, seed: int = SEED) -> nn.Module:
        return contestants.build(self.name, self.condition_width, self.image_size, self.scale, seed)

    def awake(self, seed: int = SEED) -> nn.Module:
        return awaken(self.build(seed)).eval()

    @functools.cached_property
    def denoiser(self) -> nn.Module:
        """One for all duties that only call it."""
        return self.awake()

    @functools.cached_property
    def inputs(self) -> Inputs:
        """Three images."""
        return self.drawn(0, torch.tensor([5, 100, 299]))

    def drawn(self, seed: int, timestep: Tensor) -> Inputs:
        """As many images as timesteps, none of them unconditional."""
        generator, count = torch.Generator().manual_seed(seed), len(timestep)
        noisy = torch.randn(count, 3, self.image_size, self.image_size, generator=generator)
        condition = torch.randint(0, 2, (count, self.condition_width), generator=generator).float()
        condition[:, 0] = 1
        return Inputs(noisy, timestep, condition)


def awaken(denoiser: nn.Module) -> nn.Module:
    """Move every weight off its initial value: branches that start at zero then take part."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in denoiser.parameters():
            if parameter.is_floating_point():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return denoiser


def answer(denoiser: nn.Module, inputs: Inputs) -> Tensor:
    """The prediction for these inputs, which stay as they are."""
    with torch.no_grad():
        return predict(denoiser, *(each.clone() for each in inputs)).float()
