"""The data's way into a training step: the same batches for every contestant."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from bench import distributed, randomness
from bench.config import RunConfig
from bench.data.dataset import AvatarSet

THREADS = 4  # that prepare batches for an accelerator, which takes them faster than one thread makes noise
AHEAD = 8  # batches that are prepared, or being prepared, while one is trained on


@dataclass(frozen=True)
class Batch:
    """What every contestant meets at one step: images and noise (B, 3, H, W), condition (B, D), timestep (B,)."""

    images: Tensor
    noise: Tensor
    timestep: Tensor
    condition: Tensor  # a row of zeros where it was dropped

    def to(self, device: torch.device, memory_format: torch.memory_format) -> "Batch":
        return Batch(
            self.images.to(device, memory_format=memory_format, non_blocking=True),
            self.noise.to(device, memory_format=memory_format, non_blocking=True),
            self.timestep.to(device, non_blocking=True),
            self.condition.to(device, non_blocking=True),
        )

    def pinned(self, memory_format: torch.memory_format) -> "Batch":
        """In page-locked memory and its final layout: the copy to a CUDA device then waits for nothing."""
        return Batch(
            self.images.contiguous(memory_format=memory_format).pin_memory(),
            self.noise.contiguous(memory_format=memory_format).pin_memory(),
            self.timestep.pin_memory(),
            self.condition.pin_memory(),
        )


class EpochBatches:
    """The batches of an epoch by step, a pure function of (seed, epoch, position).

    They are the same for every contestant; several processes have an equal part of each. The images left over by the
    last whole batch wait for another epoch's order.
    """

    def __init__(self, train: AvatarSet, config: RunConfig, epoch: int) -> None:
        seed, length = config.seed, len(train)
        self.train, self.config, self.epoch = train, config, epoch
        self.order = randomness.epoch_order(seed, epoch, length)
        self.timesteps = (randomness.uniform(seed, "timestep", epoch, length) * config.recipe.timesteps).long()
        self.kept = randomness.uniform(seed, "dropout", epoch, length) >= config.recipe.condition_dropout

    def __len__(self) -> int:
        return steps_per_epoch(len(self.train), self.config)

    def __getitem__(self, step: int) -> Batch:
        size, train = self.config.sizes.batch_size, self.train
        part = size // distributed.count()
        start = step * size + distributed.rank() * part
        places = slice(start, start + part)
        rows = self.order[places]
        shape = tuple(train.images.shape[1:])
        return Batch(
            images=train.in_model_space(rows),
            noise=randomness.normal(self.config.seed, "noise", self.epoch, range(start, start + part), shape),
            timestep=self.timesteps[places],
            condition=train.conditions[rows] * self.kept[places, None],
        )


def steps_per_epoch(images: int, config: RunConfig) -> int:
    """Whole batches of a training set, or as many of them as a rehearsal takes."""
    whole = images // config.sizes.batch_size
    return min(whole, config.sizes.max_steps or whole)


def epoch_batches(train: AvatarSet, config: RunConfig, epoch: int, first: int = 0) -> Iterator[Batch]:
    """The batches of an epoch from its step `first` on, each prepared when it is asked for."""
    batches = EpochBatches(train, config, epoch)
    return (batches[step] for step in range(first, len(batches)))


def prepared_ahead(prepare: Callable[[int], Batch], steps: Iterable[int]) -> Iterator[Batch]:
    """`prepare(step)` for each step in order, done by threads while the batches before are trained on."""
    with ThreadPoolExecutor(THREADS) as threads:
        waiting: deque[Future[Batch]] = deque()
        try:
            for step in steps:
                waiting.append(threads.submit(prepare, step))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
