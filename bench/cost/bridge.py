"""What each change from the hand-written UNet to the library's costs: made first of all, and made last."""

import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from bench.config import CHANGES, PRESETS
from bench.cost.account import Setting, account, published
from bench.cost.steps import trial
from bench.cost.turns import Seconds, Timing, by_turns, ratios
from bench.data.dataset import AvatarSet
from bench.environment import load_average
from bench.errors import BadInput
from scratch_unet import architecture_of

SCHEMA_VERSION = 1
BY_HAND, LIBRARY = "scratch", "twin-32"  # the library's model by hand: what differs is the architecture alone
FULL_BATCH = PRESETS["full"].batch_size


def bridge(timing: Timing, others: list[str], changes: Sequence[str] = CHANGES) -> dict[str, Any]:
    """The document of `bench bridge`: the costs of every model, and how many times each change multiplies them.

    The other models are held against `scratch`, and those after the first also against the first.
    """
    busy, avatars, scale = load_average(), timing.avatars(), PRESETS[timing.preset].scale
    names = list(dict.fromkeys([*models(changes), *others]))
    accounts = accounted(names, timing, avatars)
    seconds = timed(names, timing, avatars)
    return {
        "schema_version": SCHEMA_VERSION,
        **timing.as_dict(busy),
        "condition_width": avatars.schema.width,
        "full_batch_size": FULL_BATCH,
        "models": {
            name: accounts[name] | {"seconds": {part: statistics.median(found) for part, found in parts.items()}}
            for name, parts in seconds.items()
        },
        "together": compared(BY_HAND, LIBRARY, accounts, seconds),
        "changes": {
            change: {
                place: compared(*pair, accounts, seconds) | {"changes_nothing_here": alike(*pair, scale)}
                for place, pair in pairs_of(change).items()
            }
            for change in changes
        },
        "others": {name: compared(BY_HAND, name, accounts, seconds) for name in others},
        "among_others": {name: compared(others[0], name, accounts, seconds) for name in others[1:]},
    }


def pairs_of(change: str) -> dict[str, tuple[str, str]]:
    """The models before and after a change: when it is the first one, and when all others have been made."""
    return {"first": (BY_HAND, f"{BY_HAND}+{change}"), "last": (f"{LIBRARY}-{change}", LIBRARY)}


def alike(before: str, after: str, scale: float) -> bool:
    """Whether two models are the same at this scale: what is scaled may come to the same number."""
    ours, theirs = (vars(architecture_of(name).scaled(scale)) | {"scales_heads": None} for name in (before, after))
    return ours == theirs


def models(changes: Sequence[str]) -> list[str]:
    pairs = [pair for change in changes for pair in pairs_of(change).values()]
    return list(dict.fromkeys(name for pair in [(BY_HAND, LIBRARY), *pairs] for name in pair))


def accounted(names: list[str], timing: Timing, avatars: AvatarSet) -> dict[str, dict[str, Any]]:
    """Parameters, arithmetic and predicted peak of every model, at the size that is timed and at full size."""
    print(f"accounting for {len(names)} models at two sizes", file=sys.stderr)
    sizes, how = timing.sizes, (timing.mixed_precision, timing.memory_format, timing.device)
    settings = {
        "here": Setting(avatars.schema.width, sizes.image_size, sizes.scale, sizes.batch_size, *how),
        "full": published(FULL_BATCH),
    }
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        costs = {size: account(name, setting) for size, setting in settings.items()}
        for cost in costs.values():
            if cost["untraced"]:
                raise BadInput(f"the cost of {name} cannot be accounted for: {cost['untraced']}: leave it out")
        found[name] = {
            size: {
                "parameters": cost["parameters"]["total"],
                "training_gflop": cost["flops_per_image"]["training"] / 1e9,
                "peak_mib": cost["predicted_peak"]["bytes"] / 2**20,
            }
            for size, cost in costs.items()
        }
    return found


def timed(names: list[str], timing: Timing, avatars: AvatarSet) -> Seconds:
    """Every model's seconds, a step of each in turn."""
    print(f"{len(names)} models, {timing.rounds} rounds of {timing.steps} steps of each", file=sys.stderr)
    with ExitStack() as open_models:
        trainers = {
            name: open_models.enter_context(trial(timing.config(name, avatars), avatars)) for name in names
        }  # fmt: skip
        return by_turns(trainers, timing.rounds, timing.steps)


def compared(before: str, after: str, accounts: dict[str, dict[str, Any]], seconds: Seconds) -> dict[str, Any]:
    """How many times the costs of one model those of another are."""
    counted = {
        size: {cost: amount / accounts[before][size][cost] for cost, amount in there.items()}
        for size, there in accounts[after].items()
    }
    return {"before": before, "after": after, **counted, "seconds": ratios(seconds, after, before)}
