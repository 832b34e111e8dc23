"""How fast a contestant trains as one setting after another is changed: precision, memory layout, compiling, data."""

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from bench.config import MATCHED, RunConfig, Sizes
from bench.cost.machine import arithmetic
from bench.cost.out_of_memory import is_out_of_memory
from bench.cost.steps import trial
from bench.data.dataset import AvatarSet
from bench.environment import device_name, has_bf16
from bench.training.batches import EpochBatches
from bench.training.trainer import Trainer, synchronise

SCHEMA_VERSION = 1
WARM_UP = 4
BLOCK = 4  # steps between two looks at the clock, each of which waits for the device
FEWEST_BLOCKS, ENOUGH_SECONDS = 3, 2.5


@dataclass(frozen=True)
class Rung:
    """One setting of the ladder."""

    name: str
    mixed_precision: str = "no"
    tf32: bool = False
    memory_format: str = "contiguous"
    compiled: bool = False
    resident: bool = False  # one batch, on the device already: no data to wait for


RUNGS = (
    Rung("fp32"),
    Rung("TF32", tf32=True),
    Rung("TF32, channels_last", tf32=True, memory_format="channels_last"),
    Rung("bf16", "bf16", tf32=True),
    Rung("bf16, channels_last", "bf16", tf32=True, memory_format="channels_last"),
    Rung("bf16, batch on the device", "bf16", tf32=True, resident=True),
    Rung("bf16, channels_last, compiled", "bf16", tf32=True, memory_format="channels_last", compiled=True),
)


def rungs_for(device: str, compiled: bool) -> list[Rung]:
    """The rungs that a device has: TF32 on CUDA alone, bf16 where it is real, compiling where it is asked for."""
    rungs = [rung for rung in RUNGS if compiled or not rung.compiled]
    if not has_bf16(device):
        rungs = [replace(rung, mixed_precision="no", name=rung.name.replace("bf16", "fp32")) for rung in rungs]
    if device != "cuda":
        rungs = [replace(rung, tf32=False, name=rung.name.replace("TF32", "fp32")) for rung in rungs]
    return [rung for at, rung in enumerate(rungs) if rung.name not in [each.name for each in rungs[:at]]]


def ladder(
    names: list[str], sizes: Sizes, avatars: AvatarSet, device: str, rungs: list[Rung],
    told: Callable[[dict[str, Any]], None] = lambda document: None,
) -> dict[str, Any]:  # fmt: skip
    """Images/s of training of each contestant on each rung; `told` has the document after every one."""
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "device": device_name(device),
        "torch": torch.__version__,
        "image_size": sizes.image_size,
        "scale": sizes.scale,
        "batch_size": sizes.batch_size,
        "contestants": {name: {} for name in names},
    }
    for rung, name in itertools.product(rungs, names):
        config = RunConfig(
            name, 0, "ladder", MATCHED, sizes, avatars.source, avatars.content_hash, device,
            rung.mixed_precision, rung.memory_format,
        )  # fmt: skip
        document["contestants"][name][rung.name] = found = climb(config, rung, avatars)
        speed = found.get("images_per_second")
        print(f"{name}, {rung.name}: {f'{speed:.1f} images/s' if speed else found['why']}", file=sys.stderr)
        told(document)
    return document


def climb(config: RunConfig, rung: Rung, avatars: AvatarSet) -> dict[str, Any]:
    """Images/s on one rung, with its warm-up apart and its spread; `why`, where it cannot be had."""
    try:
        with trial(config, avatars) as trainer, arithmetic(rung.tf32):
            return time_steps(trainer, rung)
    except Exception as error:
        out = is_out_of_memory(error)
        return {"why": "out of memory" if out else f"{type(error).__name__}: {error}".splitlines()[0]}


def time_steps(trainer: Trainer, rung: Rung) -> dict[str, Any]:
    """The median of several blocks of steps after some that warm up, and the peak of memory on CUDA."""
    device, size = trainer.accelerator.device, trainer.config.sizes.batch_size
    if rung.compiled:
        trainer.denoiser.compile()
    steps = resident_steps(trainer) if rung.resident else endless_steps(trainer)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    losses = [next(steps).item() for _ in range(WARM_UP)]
    warm_up = time.perf_counter() - started
    blocks: list[float] = []
    while len(blocks) < FEWEST_BLOCKS or (sum(blocks) < ENOUGH_SECONDS and len(blocks) < 25):
        blocks.append(seconds_of(steps, BLOCK, device))
    speeds = [BLOCK * size / seconds for seconds in blocks]
    return {
        "images_per_second": statistics.median(speeds),
        "slowest": min(speeds),
        "fastest": max(speeds),
        "blocks": len(blocks),
        "warm_up_seconds": warm_up,
        "losses": losses,  # of the first steps: equal work gives about equal ones on every rung
        "peak_bytes": torch.cuda.max_memory_allocated() if device.type == "cuda" else None,
    }


def endless_steps(trainer: Trainer) -> Iterator[Any]:
    """The harness' steps, data and all, over the same epoch again and again."""
    return itertools.chain.from_iterable(trainer.steps() for _ in itertools.count())


def resident_steps(trainer: Trainer) -> Iterator[Any]:
    """Steps on one batch that lies on the device."""
    trainer.denoiser.train()
    batch = EpochBatches(trainer.train, trainer.config, 0)[0].to(trainer.accelerator.device, trainer.memory_format)
    return (trainer.step(batch) for _ in itertools.count())


def seconds_of(steps: Iterator[Any], count: int, device: torch.device) -> float:
    synchronise(device)
    started = time.perf_counter()
    for _ in range(count):
        next(steps)
    synchronise(device)
    return time.perf_counter() - started
