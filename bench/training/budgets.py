"""How long a run trains: its budgets as training steps, and the way from one to the next."""

import math
from collections.abc import Callable

from bench.config import Budget, Optimisation, RunConfig
from bench.errors import BadInput
from bench.training.batches import steps_per_epoch


def budget_steps(
    budgets: tuple[Budget, ...],
    batch_size: int,
    seconds_per_step: float | None,  # of training, as this machine was timed; None: not timed
    flop_per_image: float | None,  # of training; None: could not be counted
) -> tuple[int, ...]:
    """The training steps of every budget, to the nearest; BadInput for a kind that cannot be told here."""
    per_step = {
        "images": batch_size,
        "seconds": seconds_per_step,
        "pflop": None if flop_per_image is None else batch_size * flop_per_image / 1e15,
    }
    found = []
    for budget in budgets:
        each = per_step[budget.kind]
        if each is None:
            why = "its steps are not timed" if budget.kind == "seconds" else "its arithmetic cannot be counted"
            raise BadInput(f"--budget {budget} cannot be kept: {why}")
        found.append(max(1, round(budget.amount / each)))
    return tuple(found)


def ends(config: RunConfig, images: int) -> list[int]:
    """The steps after which a run has a finished model, rising: those of its budgets, or of its epochs."""
    return sorted(set(config.budget_steps)) or [config.sizes.epochs * steps_per_epoch(images, config)]


def shortest(config: RunConfig, images: int) -> int:
    """The steps of the smallest budget of images, which are everyone's alike; without one, of the first end."""
    steps = zip(config.sizes.budgets, config.budget_steps, strict=False)  # trained by epochs, it has no such steps
    return min((end for budget, end in steps if budget.kind == "images"), default=ends(config, images)[0])


def main_end(config: RunConfig, images: int) -> int:
    """The steps after which the model is the one that is scored in full: that of the first budget."""
    return config.budget_steps[0] if config.budget_steps else ends(config, images)[-1]


def decay_start(plan: Optimisation, end: int) -> int:
    """The step from which the learning rate falls towards zero at `end`."""
    return end if plan.schedule != "decay" else end - max(1, round(plan.decay_share * end))


Window = Callable[[], tuple[int, int] | None]  # the steps between which the rate falls; None: it is constant


def decay_factor(plan: Optimisation, shortest: int, window: Window) -> Callable[[int], float]:
    """The learning rate of a step as a share of its full value: up in the warm-up, then constant, down in the window.

    In the window it is 1 − √x at the share x of it that is over.
    """
    warm_up = max(1, round(plan.warmup_share * shortest))

    def factor(step: int) -> float:
        up, falling = min(1.0, (step + 1) / warm_up), window()
        if falling is None or step < falling[0]:
            return up
        start, end = falling
        return up * (1 - math.sqrt(min(1.0, (step - start) / (end - start))))

    return factor
