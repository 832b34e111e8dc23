"""Randomness without a history: every draw is a function of (seed, purpose, position) alone.

So every contestant meets the same noise, timesteps and order, and so does a resumed run.
"""

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor


def generator(seed: int, purpose: str, *position: int) -> torch.Generator:
    """A CPU generator for one draw; equal arguments always give an equal generator."""
    text = "/".join(map(str, (seed, purpose, *position)))
    digest = hashlib.blake2b(text.encode(), digest_size=7).digest()  # 56 bits: fits a signed 64-bit seed
    return torch.Generator().manual_seed(int.from_bytes(digest, "big"))


def seed_default(device: torch.device, seed: int, purpose: str, *position: int) -> None:
    """Seed what a module draws from by itself (dropout), on the CPU and on the device.

    `torch.manual_seed` would do it too, but takes 70 times as long where no GPU is: it notes the stack for later.
    """
    drawn = generator(seed, purpose, *position).initial_seed()
    torch.default_generator.manual_seed(drawn)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(drawn)


def generators(seed: int, purpose: str, positions: Iterable[int]) -> list[torch.Generator]:
    """One generator per position, as diffusers' samplers take them: batching then changes no image."""
    return [generator(seed, purpose, position) for position in positions]


def epoch_order(seed: int, epoch: int, length: int) -> Tensor:
    """The order (length,) in which an epoch visits the training images."""
    return torch.randperm(length, generator=generator(seed, "order", epoch))


def normal(seed: int, purpose: str, epoch: int, positions: Iterable[int], shape: tuple[int, ...]) -> Tensor:
    """Standard normal noise (len(positions), *shape), each row from its own generator."""
    rows = [torch.randn(shape, generator=generator(seed, purpose, epoch, p)) for p in positions]
    return torch.stack(rows)


def uniform(seed: int, purpose: str, epoch: int, length: int) -> Tensor:
    """Uniform numbers in [0, 1) for every position of an epoch, float64 (length,)."""
    return torch.rand(length, dtype=torch.float64, generator=generator(seed, purpose, epoch))
