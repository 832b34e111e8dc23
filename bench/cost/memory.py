"""The peak of a real training step as the allocator sees it, to hold the predicted one against."""

import os

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from bench.cost.trace import size
from bench.training.batches import Batch, epoch_batches
from bench.training.trainer import Trainer


def measured_peak(trainer: Trainer) -> int | None:
    """Bytes of tensors alive when most were, in a training step; None on a device that cannot tell."""
    device = trainer.accelerator.device
    batch = next(epoch_batches(trainer.train, trainer.config, 0)).to(device, trainer.memory_format)
    trainer.step(batch)  # only now has the optimiser its moments
    held = size(kept_by(trainer)) + size(tensors_of(batch))
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
