"""Steps of several models, one of each in turn, so that a slow change of the machine's speed is shared by all."""

import itertools
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from bench.config import MATCHED, PRESETS, RunConfig, Sizes
from bench.cost.overhead import median_and_interval
from bench.cost.steps import WARM_UP, Laps
from bench.data.dataset import AvatarSet
from bench.data.library import DataRequest, cache_path, load
from bench.environment import commit, environment
from bench.training.batches import Batch, epoch_batches
from bench.training.trainer import Trainer

PARTS = ("step", "forward", "backward", "prediction")  # a prediction has no gradients: sampling is a row of them

Seconds = dict[str, dict[str, list[float]]]  # for every model and part, the median of each round


@dataclass(frozen=True)
class Timing:
    """How models are timed against each other: at whose sizes, how often, where."""

    preset: str
    rounds: int
    steps: int  # of every model a round
    device: str
    memory_format: str
    cache: Path
    batch_size: int | None = None  # the preset's
    mixed_precision: str = "no"

    @property
    def sizes(self) -> Sizes:
        preset = PRESETS[self.preset]
        return replace(preset, batch_size=self.batch_size or preset.batch_size)

    def avatars(self) -> AvatarSet:
        """Enough for some batches."""
        sizes = self.sizes
        request = DataRequest("avataaars", 10 * sizes.batch_size, sizes.image_size)
        return load(request, cache_path(request, self.cache))

    def config(self, contestant: str, avatars: AvatarSet) -> RunConfig:
        data, how = (avatars.source, avatars.content_hash), (self.device, self.mixed_precision, self.memory_format)
        return RunConfig(contestant, 0, self.preset, MATCHED, self.sizes, *data, *how)

    def as_dict(self, load_before: float | None) -> dict[str, Any]:
        """What a document says of it."""
        sizes = self.sizes
        return {
            "preset": self.preset, "batch_size": sizes.batch_size, "image_size": sizes.image_size,
            "scale": sizes.scale, "mixed_precision": self.mixed_precision, "memory_format": self.memory_format,
            "rounds": self.rounds, "steps_per_round": self.steps, "load_average": load_before,
            "environment": environment(self.device, commit()),
        }  # fmt: skip


def orders(count: int) -> list[list[int]]:
    """Orders of so many models, a Latin square of E. J. Williams (1949): each model stands once at every place.

    If their number is even, each also follows every other once, and every second order reverses the one before.
    """
    first = [place // 2 + 1 if place % 2 else -(place // 2) for place in range(count)]
    half = count // 2
    shifts = range(count) if count % 2 else [shift + half * turned for shift in range(half) for turned in (0, 1)]
    return [[(place + shift) % count for place in first] for shift in shifts]


def by_turns(trainers: dict[str, Trainer], rounds: int, steps: int) -> Seconds:
    """Median seconds of every part in each round, for each model; one step after another goes through `orders`."""
    turns = {name: turn(trainer) for name, trainer in trainers.items()}
    found: Seconds = {name: {part: [] for part in PARTS} for name in trainers}
    names, order = list(trainers), itertools.cycle(orders(len(trainers)))
    for _ in range(WARM_UP):
        for name in names:
            next(turns[name])
    for _ in range(rounds):
        taken: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        for _ in range(steps):
            for name in (names[place] for place in next(order)):
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


def ratios(seconds: Seconds, ours: str, theirs: str) -> dict[str, dict[str, Any]]:
    """How many times as long one model takes as another, by part: the median over rounds with its interval."""
    return {
        part: median_and_interval([a / b for a, b in zip(seconds[ours][part], seconds[theirs][part], strict=True)])
        for part in PARTS
    }
