"""A real training step, measured on a trainer of its own: the seconds of its parts, and its peak of memory."""

import gc
import itertools
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from bench import contestants
from bench.config import RunConfig
from bench.cost.operations import bytes_of
from bench.cost.terms import PARTS
from bench.data.dataset import AvatarSet
from bench.training.batches import Batch, epoch_batches
from bench.training.trainer import Trainer, synchronise


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


WARM_UP = 3
FEWEST, MOST, ENOUGH_SECONDS = 5, 20, 3.0


class Laps:
    """Seconds of every part of every step; the device is waited for at the end of each."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.steps: list[dict[str, float]] = []
        self.current: dict[str, float] = defaultdict(float)
        self.last = self.now()

    def now(self) -> float:
        synchronise(self.device)
        return time.perf_counter()

    def __call__(self, part: str) -> None:
        now = self.now()
        self.current[part] += now - self.last
        self.last = now

    def end_step(self) -> None:
        self("else")
        self.steps.append(self.current)
        self.current = defaultdict(float)


def time_steps(trainer: Trainer) -> dict[str, list[float]]:
    """Seconds of each part of a few steps after some that warm up, and of each step in all."""
    laps = Laps(trainer.accelerator.device)
    began = 0.0
    for done, _ in enumerate(endless(trainer, laps), start=1 - WARM_UP):
        laps.end_step()
        if done == 0:
            began = time.perf_counter()
        if done >= MOST or (done >= FEWEST and time.perf_counter() - began > ENOUGH_SECONDS):
            break
    timed = laps.steps[WARM_UP:]
    seconds: dict[str, list[float]] = {part: [step[part] for step in timed] for part in PARTS}
    return {"total": [sum(step.values()) for step in timed], **seconds}


def endless(trainer: Trainer, laps: Laps) -> itertools.chain[Tensor]:
    """Steps without end, over the same epoch again and again."""
    return itertools.chain.from_iterable(trainer.steps(laps) for _ in itertools.count())


def measured_peak(trainer: Trainer) -> int | None:
    """Peak live tensor memory of a training step, in bytes; None on a device that does not report it."""
    device = trainer.accelerator.device
    batch = next(epoch_batches(trainer.train, trainer.config, 0)).to(device, trainer.memory_format)
    trainer.step(batch)  # only now has the optimiser its moments
    held = bytes_of(kept_by(trainer)) + bytes_of(tensors_of(batch))
    if device.type == "cuda":
        return held + peak_on_cuda(trainer, batch)
    return held + peak_on_cpu(trainer, batch) if device.type == "cpu" else None


def kept_by(trainer: Trainer) -> list[Tensor]:
    """Weights, buffers, what the optimiser keeps and the average: alive from step to step."""
    state = trainer.optimizer.state.values()
    moments = [value for entries in state for value in entries.values() if isinstance(value, Tensor)]
    average = [] if trainer.ema is None else trainer.ema.shadow_params
    return [*trainer.parameters, *trainer.denoiser.buffers(), *moments, *average]


def tensors_of(batch: Batch) -> list[Tensor]:
    return [batch.images, batch.noise, batch.timestep, batch.condition]


def peak_on_cuda(trainer: Trainer, batch: Batch) -> int:
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    trainer.step(batch)
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def peak_on_cpu(trainer: Trainer, batch: Batch) -> int:
    """The largest sum of what the CPU's allocator gave out and took back; its events come from the profiler."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # or it complains that there is no GPU
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiled:
        trainer.step(batch)
    assert profiled.profiler is not None
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    alive = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        alive += event.nbytes()
        peak = max(peak, alive)
    return peak
