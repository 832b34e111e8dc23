"""The scale at which a contestant costs what another one does: as many parameters, or as much arithmetic."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

from bench import contestants
from bench.cost.account import Setting, account, count_parameters
from bench.errors import BadInput

Kind = Literal["parameters", "flops"]
PARTS = 64  # scales are tried in 64ths: ours can be built in 32nds
LARGEST = 4 * PARTS
NEXT = PARTS // 4  # so many scales in a row that cannot be built are too many
TOLERANCE = 1.25  # a cost that is further away than this ratio is no match


class CannotFollow(BadInput):
    """The arithmetic of a plug-in cannot be counted, at whatever scale."""


def matching_scales(names: list[str], kind: Kind, setting: Setting) -> dict[str, tuple[float, float]]:
    """For every name its scale, and how many times the cost of the first one's at the setting's scale it then has.

    BadInput where none comes near.
    """
    first, *others = names
    target, found = cost(first, kind, setting), {first: (setting.scale, 1.0)}
    for name in others:
        scale, value = nearest(target, setting.scale, partial(cost_at, name, kind, setting))
        if not 1 / TOLERANCE <= value / target <= TOLERANCE:
            told = f"{value / target:.2f} times the {kind} of {first}, at scale {scale:g}"
            raise BadInput(f"--match {kind}: {name} comes no nearer than {told}: leave it out, or match the other way")
        found[name] = scale, value / target
    return found


def cost_at(name: str, kind: Kind, setting: Setting, scale: float) -> float:
    return cost(name, kind, replace(setting, scale=scale))


def cost(name: str, kind: Kind, setting: Setting) -> float:
    """Parameters, or FLOP of an image in training; BadInput if a plug-in's step cannot be followed."""
    if kind == "parameters":
        model = contestants.build_on_meta(name, setting.condition_width, setting.image_size, setting.scale)
        return count_parameters(model)["total"] or 0
    found = account(name, setting)["flops_per_image"]
    if found is None:
        raise CannotFollow(f"--match flops: the training step of {name} cannot be followed: use --match parameters")
    return found["training"]


def nearest(target: float, begin: float, cost_of: Callable[[float], float]) -> tuple[float, float]:
    """The scale whose cost is nearest to the target, and that cost; BadInput if none can be built.

    A larger scale must cost more.
    """
    tried: dict[int, float] = {}

    def cost_from(part: int) -> tuple[int, float] | None:
        """The first scale from `part` on that can be built, and its cost; None if none of the next ones can."""
        for each in range(part, min(part + NEXT, LARGEST + 1)):
            try:
                if each not in tried:
                    tried[each] = cost_of(each / PARTS)
                return each, tried[each]
            except CannotFollow:
                raise
            except BadInput:
                continue
        return None

    low, high = 1, min(LARGEST, max(1, round(begin * PARTS)))
    while high < LARGEST and ((found := cost_from(high)) is None or found[1] < target):
        low, high = high + 1, min(LARGEST, 2 * high)
    while low <= high:
        middle = (low + high) // 2
        if (found := cost_from(middle)) is None or found[1] < target:
            low = (middle + NEXT) if found is None else found[0] + 1
        else:
            high = middle - 1
    if not tried:
        raise BadInput("--match: it can be built at none of the scales that were tried")
    best = min(tried, key=lambda part: abs(math.log(tried[part] / target)))
    return best / PARTS, tried[best]
