"""What each change from the hand-written UNet to the library's costs: made first of all, and made last."""

import statistics
import sys
from contextlib import ExitStack
from typing import Any

from bench.config import CHANGES, PRESETS
from bench.cost.anatomy import Question, anatomy
from bench.cost.steps import trial
from bench.cost.turns import Asked, Seconds, by_turns, ratios
from bench.environment import load_average

SCHEMA_VERSION = 1
BY_HAND, LIBRARY = "scratch", "twin-32"  # the library's model by hand: what differs is the architecture alone
FULL_BATCH = PRESETS["full"].batch_size


def bridge(asked: Asked) -> dict[str, Any]:
    """The document of `bench bridge`: the costs of every model, and how many times each change multiplies them."""
    busy, seconds = load_average(), timed(asked)
    accounts = accounted(asked)
    return {
        "schema_version": SCHEMA_VERSION,
        **asked.as_dict(busy),
        "full_batch_size": FULL_BATCH,
        "models": {
            name: accounts[name] | {"seconds": {part: statistics.median(found) for part, found in parts.items()}}
            for name, parts in seconds.items()
        },
        "together": compared(BY_HAND, LIBRARY, accounts, seconds),
        "changes": {
            change: {place: compared(*pair, accounts, seconds) for place, pair in pairs_of(change).items()}
            for change in CHANGES
        },
    }


def pairs_of(change: str) -> dict[str, tuple[str, str]]:
    """The models before and after a change: when it is the first one, and when all others have been made."""
    return {"first": (BY_HAND, f"{BY_HAND}+{change}"), "last": (f"{LIBRARY}-{change}", LIBRARY)}


def models() -> list[str]:
    pairs = [pair for change in CHANGES for pair in pairs_of(change).values()]
    return list(dict.fromkeys(name for pair in [(BY_HAND, LIBRARY), *pairs] for name in pair))


def timed(asked: Asked) -> Seconds:
    """Every model's seconds, a step of each in turn."""
    avatars = asked.avatars()
    print(f"{len(models())} models, {asked.rounds} rounds of {asked.steps} steps of each", file=sys.stderr)
    with ExitStack() as open_models:
        trainers = {
            name: open_models.enter_context(trial(asked.config(name, avatars), avatars)) for name in models()
        }  # fmt: skip
        return by_turns(trainers, asked.rounds, asked.steps)


def accounted(asked: Asked) -> dict[str, dict[str, Any]]:
    """Parameters, arithmetic and predicted peak of every model, at the size that is timed and at full size."""
    sizes, full = PRESETS[asked.preset], PRESETS["full"]
    questions = {
        "here": Question(models(), sizes.image_size, sizes.batch_size, sizes.scale, device=asked.device),
        "full": Question(models(), full.image_size, full.batch_size),
    }
    found: dict[str, dict[str, Any]] = {name: {} for name in models()}
    for size, question in questions.items():
        print(f"accounting for {len(models())} models at {question.image_size}×{question.image_size}", file=sys.stderr)
        for row in anatomy(question)["contestants"]:
            found[row["name"]][size] = {
                "parameters": row["parameters"]["total"],
                "training_gflop": row["gflop_per_image"]["training"],
                "peak_mib": row["memory_mib"]["predicted_peak"],
            }
    return found


def compared(before: str, after: str, accounts: dict[str, dict[str, Any]], seconds: Seconds) -> dict[str, Any]:
    """How many times the costs of one model those of another are."""
    counted = {
        size: {cost: amount / accounts[before][size][cost] for cost, amount in there.items()}
        for size, there in accounts[after].items()
    }
    return {"before": before, "after": after, **counted, "seconds": ratios(seconds, after, before)}
