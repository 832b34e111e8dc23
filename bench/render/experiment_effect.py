"""An effect in words: a mean of differences by seed, with its interval, as its measure is written."""

from collections.abc import Callable
from typing import Any

from bench.render.table.measures import MEASURES
from bench.render.table.row import MISSING, as_difference, decimals


def difference(effect: dict[str, Any] | None, write: Callable[[float], str]) -> str:
    """`−1.20 (−2.00 to −0.40)`, or a dash."""
    if effect is None or effect["difference"] is None:
        return MISSING
    interval, write = effect["interval"], as_difference(write)
    between = f" ({write(interval[0])} to {write(interval[1])})" if interval else ""
    return write(effect["difference"]) + between


def writer(key: str) -> Callable[[float], str]:
    """How a measure is written."""
    return next((each.write for each in MEASURES if each.key == key), decimals(3))


def arrow(measure: dict[str, Any]) -> str:
    """To the better side."""
    return {"lower": " ↓", "higher": " ↑"}[measure["better"]]
