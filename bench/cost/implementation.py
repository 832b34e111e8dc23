"""What writing a model by hand changes: each twin against its library model, one step of each in turn."""

import statistics
import sys
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from bench.config import PRESETS, TWINS, RunConfig
from bench.cost.account import account, checkpoint_gradients, published
from bench.cost.steps import measured_peak, trial
from bench.cost.turns import PARTS, Timing, a_batch, by_turns, ratios
from bench.data.dataset import AvatarSet
from bench.environment import load_average
from bench.training.trainer import Trainer

SCHEMA_VERSION = 1


class Operations(TorchDispatchMode):
    """Counts the operations that PyTorch is asked for, without views."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        self.count += not function.is_view
        return function(*args, **(kwargs or {}))


def implementation(twins: list[str], timing: Timing) -> dict[str, Any]:
    """The document of `bench implementation`: every pair's seconds, memory and operations."""
    busy, avatars, pairs = load_average(), timing.avatars(), {}
    for twin in twins:
        print(f"{twin} and {TWINS[twin]}, {timing.rounds} rounds", file=sys.stderr)
        pairs[twin] = pair(timing.config(twin, avatars), avatars, timing.rounds, timing.steps)
    return {"schema_version": SCHEMA_VERSION, **timing.as_dict(busy), "pairs": pairs}


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
                "ratios": ratios(seconds, version, "library"),
            }
            for version, found in seconds.items()
        },
        "full_batch_size": batch_size,
        "full_peak_bytes": {version: cost["predicted_peak"]["bytes"] for version, cost in full.items()},
        "full_parameters": {version: cost["parameters"]["total"] for version, cost in full.items()},
    }


def weigh(trainer: Trainer) -> dict[str, Any]:
    """The measured peak of a training step, and how many operations it takes."""
    batch = a_batch(trainer)
    with Operations() as operations:
        trainer.step(batch)
    return {"peak_bytes": measured_peak(trainer), "operations": operations.count}
