"""What a run's record says of cost: accounted at its own size and at the published one, and measured here."""

import sys
from typing import Any

from bench import contestants
from bench.config import PRESETS, RunConfig
from bench.cost.account import account, published, setting_of
from bench.cost.check import compare
from bench.cost.steps import WARM_UP, measured_peak, time_steps, trial
from bench.data.dataset import AvatarSet
from bench.errors import BadInput


def costs(run: RunConfig, width: int) -> dict[str, Any]:
    """What the contestant costs here and at full scale, accounted and not measured, and what its UNet is made of."""
    here = setting_of(run, width)
    try:
        full_cost = account(run.contestant, published(PRESETS["full"].batch_size), run.recipe)
    except BadInput as error:  # a user's model that has no such size
        print(f"{run.contestant} has no full-scale figures: {error}", file=sys.stderr)
        full_cost = None
    return {
        "blocks": contestants.contestant(run.contestant).blocks,
        "cost": account(run.contestant, here, run.recipe),
        "full_cost": full_cost,
    }


def step_costs(run: RunConfig, train: AvatarSet, cost: dict[str, Any]) -> dict[str, Any]:
    """Seconds of a training step by its parts, and its peak of memory beside the predicted one.

    Measured on a trainer of its own, before training: nothing of it is in an epoch's seconds.
    """
    with trial(run, train) as trainer:
        seconds = time_steps(trainer)
        peak = measured_peak(trainer)
    predicted = cost["cost"]["predicted_peak"]
    return {
        "step": {"warm_up_steps": WARM_UP, "seconds": seconds},
        "peak_memory": compare(predicted and predicted["bytes"], peak),
    }
