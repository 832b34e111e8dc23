"""A trainer to measure on, apart from the one that is trained."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bench import contestants
from bench.config import RunConfig
from bench.data.dataset import AvatarSet
from bench.training.trainer import Trainer


@contextmanager
def trial(config: RunConfig, train: AvatarSet) -> Iterator[Trainer]:
    """A fresh trainer of the contestant; what it held is given back to the device afterwards."""
    sizes = config.sizes
    denoiser = contestants.build(config.contestant, train.schema.width, sizes.image_size, sizes.scale, config.seed)
    trainer = Trainer(denoiser, config, train)
    del denoiser
    try:
        yield trainer
    finally:
        vars(trainer).clear()  # the caller's name for it would keep it
        release_memory()


def release_memory() -> None:
    """Give the device back what is no longer held here: the next contestant needs it."""
    gc.collect()  # accelerate's wrappers refer to themselves
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
