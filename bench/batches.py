"""The data's way into a training step: the same batches for every contestant."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from bench import processes, randomness
from bench.config import RunConfig
from bench.data.dataset import AvatarSet, to_model_space

MEMORY_FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
AHEAD = 2  # batches that wait while one is trained on


@dataclass(frozen=True)
class Batch:
    """What every contestant meets at one step: images and noise (B, 3, H, W), condition (B, D), timestep (B,)."""

    images: Tensor
    noise: Tensor
    timestep: Tensor
    condition: Tensor  # a row of zeros where it was dropped

    def to(self, device: torch.device, memory_format: torch.memory_format) -> "Batch":
        return Batch(
            self.images.to(device, memory_format=memory_format),
            self.noise.to(device, memory_format=memory_format),
            self.timestep.to(device),
            self.condition.to(device),
        )


def epoch_batches(train: AvatarSet, config: RunConfig, epoch: int, first: int = 0) -> Iterator[Batch]:
    """The batches of an epoch from its step `first` on, a pure function of (seed, epoch, position).

    They are the same for every contestant; several processes have an equal part of each. The images left over by the
    last whole batch wait for another epoch's order.
    """
    seed, size, length = config.seed, config.sizes.batch_size, len(train)
    order = randomness.epoch_order(seed, epoch, length)
    timesteps = (randomness.uniform(seed, "timestep", epoch, length) * config.recipe.timesteps).long()
    kept = randomness.uniform(seed, "dropout", epoch, length) >= config.recipe.condition_dropout
    shape = tuple(train.images.shape[1:])
    part = size // processes.count()
    for step in range(first, length // size):
        start = step * size + processes.rank() * part
        places = slice(start, start + part)
        rows = order[places]
        yield Batch(
            images=to_model_space(train.images[rows]),
            noise=randomness.normal(seed, "noise", epoch, range(start, start + part), shape),
            timestep=timesteps[places],
            condition=train.conditions[rows] * kept[places, None],
        )


def prepared_ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches, each prepared by a thread while the ones before it are trained on."""
    with ThreadPoolExecutor(1) as thread:
        waiting = deque(thread.submit(next, batches, None) for _ in range(AHEAD))
        while (batch := waiting.popleft().result()) is not None:
            waiting.append(thread.submit(next, batches, None))
            yield batch
