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
TOLERANCE = 1.25  # a cost that is further away than this ratio is no match


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
        raise BadInput(f"--match flops: the training step of {name} cannot be followed: use --match parameters")
    return found["training"]


def nearest(target: float, begin: float, cost_of: Callable[[float], float]) -> tuple[float, float]:
    """The scale whose cost is nearest to the target, and that cost; BadInput as of the last scale if none can be built.

    A larger scale must cost more.
    """
    tried: dict[int, float] = {}
    low, high = 1, max(1, round(begin * PARTS))
    while high < LARGEST and first_built(high, LARGEST, cost_of, tried)[1] < target:
        low, high = high + 1, 2 * high
    while low <= high:
        middle = (low + high) // 2
        part, value = first_built(middle, LARGEST, cost_of, tried)
        low, high = (part + 1, high) if value < target else (low, middle - 1)
    best = min(tried, key=lambda part: abs(math.log(tried[part] / target)))
    return best / PARTS, tried[best]


def first_built(part: int, last: int, cost_of: Callable[[float], float], tried: dict[int, float]) -> tuple[int, float]:
    """The cost at the first scale from `part` on that can be built, which is also noted in `tried`."""
    for each in range(part, last + 1):
        try:
            if each not in tried:
                tried[each] = cost_of(each / PARTS)
            return each, tried[each]
        except BadInput:
            if each == last or each >= part + PARTS // 8:
                raise
    raise BadInput("no scale is left to try")
