"""The probe that chooses memory layout and precision: a few timed training steps of each."""

import time
from dataclasses import replace
from typing import Any

import torch

from bench import contestants
from bench.config import RunConfig
from bench.data.dataset import AvatarSet
from bench.train import MEMORY_FORMATS, Trainer, epoch_batches, synchronise

STEPS = 2
LARGEST_BATCH = 16  # a probe need not fill the device
WORTH_LEAVING_FULL_PRECISION = 0.8  # of the time: a smaller gain is not worth the digits


def seconds_per_step(config: RunConfig, train: AvatarSet) -> float:
    """The fastest of a few training steps after one that warms up."""
    config = replace(config, sizes=replace(config.sizes, batch_size=min(config.sizes.batch_size, LARGEST_BATCH)))
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
    return min(seconds[1:])


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
    slow = device == "mps" or (device == "cuda" and not torch.cuda.is_bf16_supported())
    return ["no"] if slow else ["no", "bf16"]


def as_record(probes: dict[str, dict[str, float]]) -> dict[str, Any]:
    return {f"{p}/{layout}": s for p, layouts in probes.items() for layout, s in layouts.items()}
