"""The probe that chooses memory layout and precision: a few timed training steps of each."""

import statistics
import time
from dataclasses import replace
from typing import Any

import torch

from bench import contestants
from bench.config import RunConfig
from bench.data.dataset import AvatarSet
from bench.train import MEMORY_FORMATS, Trainer, epoch_batches, synchronise

STEPS = 3
WORTH_LEAVING_FULL_PRECISION = 0.8  # of the time: a smaller gain is not worth the digits


def seconds_per_step(config: RunConfig, train: AvatarSet) -> float:
    """The median of a few training steps after one that warms up."""
    denoiser = contestants.build(
        config.contestant, train.schema.width, config.sizes.image_size, config.sizes.scale, config.seed
    )
    trainer = Trainer(denoiser, config, train)
    device = trainer.accelerator.device
    batch = next(epoch_batches(train, config, 0)).to(device, MEMORY_FORMATS[config.memory_format])
    seconds = []
    for _ in range(STEPS + 1):
        synchronise(device)
        started = time.perf_counter()
        trainer.step(batch)
        synchronise(device)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def probe(config: RunConfig, train: AvatarSet, precisions: list[str]) -> dict[str, dict[str, float]]:
    """Seconds per step of a contestant for every precision and memory layout."""
    return {
        precision: {
            layout: seconds_per_step(replace(config, mixed_precision=precision, memory_format=layout), train)
            for layout in MEMORY_FORMATS
        }
        for precision in precisions
    }


def choose(probes: dict[str, dict[str, dict[str, float]]]) -> tuple[str, dict[str, str]]:
    """One precision for all contestants (it must be equal), and for each the faster layout in it."""

    def total(precision: str) -> float:
        return sum(min(by_precision[precision].values()) for by_precision in probes.values())

    precisions = list(next(iter(probes.values())))
    best = min(precisions, key=total)
    if "no" in precisions and total(best) > WORTH_LEAVING_FULL_PRECISION * total("no"):
        best = "no"
    layouts = {
        name: min(by_precision[best], key=by_precision[best].__getitem__) for name, by_precision in probes.items()
    }
    return best, layouts


def precisions_for(device: str, asked: str | None) -> list[str]:
    """The precisions worth probing on a device; the one asked for, if one was."""
    if asked is not None:
        return [asked]
    if device == "cuda" and torch.cuda.is_bf16_supported():
        return ["no", "bf16"]
    return ["no"]  # on CPUs bf16 autocast gains little or loses, and costs digits


def as_record(probes: dict[str, dict[str, float]]) -> dict[str, Any]:
    return {f"{p}/{layout}": s for p, layouts in probes.items() for layout, s in layouts.items()}
