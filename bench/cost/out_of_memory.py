"""Where a run ran out of memory: how much it had taken, and what would have fitted."""

import bisect
import contextlib
import gc
import resource
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate.utils.memory import should_reduce_batch_size

from bench.config import RunConfig
from bench.cost.steps import trial
from bench.data.dataset import AvatarSet
from bench.data.library import read_cache
from bench.data.splits import split
from bench.training.batches import epoch_batches


def explain(run: RunConfig, avatars: Path) -> tuple[str, dict[str, Any]]:
    """What a run that ran out of memory had taken, in a few words for its row, and in numbers."""
    peak = peak_bytes(run.device)
    gc.collect()
    asked, largest = run.sizes.batch_size, None
    with contextlib.suppress(Exception):  # it is said if it can be found out; the row must not depend on it
        largest = largest_batch_that_fits(run, avatars)
    why = f"out of memory at a peak of {peak / 2**30:.2f} GiB in batches of {asked}{advice(largest, asked)}"
    return why, {"out_of_memory": {"peak_bytes": peak, "largest_batch_that_fits": largest}}


def advice(largest: int | None, asked: int) -> str:
    """What to do about the batch, as far as real steps have shown."""
    if largest is None:
        return ""
    if largest >= asked:
        return ", though a step of training fits"
    return f", batches of {largest} would fit" if largest else ", not even a batch of 1 would fit"


def is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    told = all(isinstance(each, str) for each in error.args)  # or accelerate's question raises
    return isinstance(error, Exception) and told and should_reduce_batch_size(error)


def peak_bytes(device: str) -> int:
    """The most that was held: tensors on a GPU, the whole process on a CPU."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else held * 1024


def largest_batch_that_fits(run: RunConfig, cached: Path) -> int | None:
    """The largest batch, up to the one that was asked for, of which a real step fits here; None if none was tried.

    It is only said: the batch is never changed, for that would change the comparison.
    """
    avatars = read_cache(cached)
    if avatars is None or run.processes > 1:
        return None
    train, asked = split(avatars).train, run.sizes.batch_size
    return bisect.bisect_left(range(1, asked + 1), True, key=lambda size: not fits(run, train, size))


def fits(run: RunConfig, train: AvatarSet, batch_size: int) -> bool:
    """Whether two training steps with this batch get the memory that they need."""
    config = replace(run, sizes=replace(run.sizes, batch_size=batch_size))
    try:
        with trial(config, train) as trainer:
            batch = next(epoch_batches(train, config, 0)).to(trainer.accelerator.device, trainer.memory_format)
            for _ in range(2):  # the optimiser has its moments only after the first
                trainer.step(batch)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True
