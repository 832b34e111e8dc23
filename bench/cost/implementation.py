"""What writing a model by hand changes: each twin against its library model, one step of each in turn."""

import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bench.config import MATCHED, PRESETS, TWINS, RunConfig
from bench.cost.account import account, checkpoint_gradients, published
from bench.cost.overhead import median_and_interval
from bench.cost.steps import WARM_UP, Laps, measured_peak, trial
from bench.data.dataset import AvatarSet
from bench.data.library import DataRequest, cache_path, load
from bench.environment import commit, environment, load_average
from bench.training.batches import Batch, epoch_batches
from bench.training.trainer import Trainer

SCHEMA_VERSION = 1
PARTS = ("step", "forward", "backward", "prediction")  # a prediction has no gradients: sampling is a row of them
ORDERS = ((0, 1, 3, 2), (1, 2, 0, 3), (2, 3, 1, 0), (3, 0, 2, 1))  # every version follows every other one once


class Operations(TorchDispatchMode):
    """Counts the operations that PyTorch is asked for, without views."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        self.count += not function.is_view
        return function(*args, **(kwargs or {}))


def implementation(
    twins: list[str], preset: str, rounds: int, steps: int, device: str, layout: str, cache: Path
) -> dict[str, Any]:
    """The document of `bench implementation`: every pair's seconds, memory and operations."""
    sizes, busy = PRESETS[preset], load_average()
    request = DataRequest("avataaars", 10 * sizes.batch_size, sizes.image_size)
    avatars = load(request, cache_path(request, cache))
    pairs = {}
    for twin in twins:
        print(f"{twin} and {TWINS[twin]}, {rounds} rounds", file=sys.stderr)
        config = RunConfig(
            twin, 0, preset, MATCHED, sizes, avatars.source, avatars.content_hash, device, "no", layout
        )  # fmt: skip
        pairs[twin] = pair(config, avatars, rounds, steps)
    return {
        "schema_version": SCHEMA_VERSION, "preset": preset, "batch_size": sizes.batch_size,
        "image_size": sizes.image_size, "scale": sizes.scale, "memory_format": layout,
        "rounds": rounds, "steps_per_round": steps, "load_average": busy,
        "environment": environment(device, commit()), "pairs": pairs,
    }  # fmt: skip


def pair(config: RunConfig, avatars: AvatarSet, rounds: int, steps: int) -> dict[str, Any]:
    """A twin, the twin without recomputing, and the library's model: seconds by part, ratios, memory, operations."""
    twin, library = config.contestant, TWINS[config.contestant]
    with ExitStack() as models:
        trainers = {
            version: models.enter_context(trial(replace(config, contestant=name), avatars))
            for version, name in (
                ("library", library), ("twin", twin), ("library, checkpointing", library), ("twin, recomputing", twin)
            )
        }  # fmt: skip
        checkpoint_gradients(trainers["library, checkpointing"].denoiser)
        trainers["twin, recomputing"].denoiser.recompute()
        seconds = by_turns(trainers, rounds, steps)
        measured = {version: weigh(trainer) for version, trainer in trainers.items()}
    batch_size = PRESETS["full"].batch_size
    full = {
        "library": account(library, published(batch_size)),
        "twin": account(twin, published(batch_size)),
        "library, checkpointing": account(library, replace(published(batch_size), gradient_checkpointing=True)),
    }
    return {
        "library": library,
        "versions": {
            version: measured[version]
            | {
                "seconds": {part: statistics.median(found[part]) for part in PARTS},
                "ratios": {
                    part: median_and_interval(
                        [ours / theirs for ours, theirs in zip(found[part], seconds["library"][part], strict=True)]
                    )
                    for part in PARTS
                },
            }
            for version, found in seconds.items()
        },
        "full_batch_size": batch_size,
        "full_peak_bytes": {version: cost["predicted_peak"]["bytes"] for version, cost in full.items()},
        "full_parameters": {version: cost["parameters"]["total"] for version, cost in full.items()},
    }


def by_turns(trainers: dict[str, Trainer], rounds: int, steps: int) -> dict[str, dict[str, list[float]]]:
    """Median seconds of every part in each round, for each version; the steps of a round go through `ORDERS`."""
    turns = {name: turn(trainer) for name, trainer in trainers.items()}
    found: dict[str, dict[str, list[float]]] = {name: {part: [] for part in PARTS} for name in trainers}
    names = list(trainers)
    for _ in range(WARM_UP):
        for name in names:
            next(turns[name])
    for _ in range(rounds):
        taken: dict[str, list[dict[str, float]]] = {name: [] for name in trainers}
        for number in range(steps):
            for name in (names[place] for place in ORDERS[number % len(ORDERS)]):
                taken[name].append(next(turns[name]))
        for name, each in taken.items():
            for part in PARTS:
                found[name][part].append(statistics.median(seconds[part] for seconds in each))
    return found


def turn(trainer: Trainer) -> Iterator[dict[str, float]]:
    """A training step by its parts, and a prediction without gradients, whenever one is asked for."""
    laps = Laps(trainer.accelerator.device)
    batch = a_batch(trainer)
    while True:
        laps.last = laps.now()
        trainer.step(batch, laps)
        laps.end_step()
        parts = laps.steps.pop()
        trainer.denoiser.eval()
        before = laps.now()
        with torch.inference_mode():
            trainer.denoiser(batch.noise, batch.timestep, batch.condition)
        prediction = laps.now() - before
        trainer.denoiser.train()
        yield parts | {"step": sum(parts.values()), "prediction": prediction}


def a_batch(trainer: Trainer) -> Batch:
    return next(epoch_batches(trainer.train, trainer.config, 0)).to(trainer.accelerator.device, trainer.memory_format)


def weigh(trainer: Trainer) -> dict[str, Any]:
    """The measured peak of a training step, and how many operations it takes."""
    batch = a_batch(trainer)
    with Operations() as operations:
        trainer.step(batch)
    return {"peak_bytes": measured_peak(trainer), "operations": operations.count}
