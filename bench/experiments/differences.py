"""Differences by seed: their mean, its interval, and how surprising it is among all that were tested together."""

from typing import Any

import numpy as np

from bench.quality.significance import FEWEST_SEEDS, holm, paired_difference


def effect(measure: str, differences: dict[str, float]) -> dict[str, Any]:
    """The mean over seeds and its 95 % interval; p only where there are enough seeds for a test."""
    found = paired_difference(np.array([*differences.values()])) if differences else None
    return {
        "measure": measure,
        "differences": differences,
        "difference": None if found is None else float(found.mean),
        "interval": None if found is None or len(differences) < 2 else [float(found.low), float(found.high)],
        "p": None if found is None or len(differences) < FEWEST_SEEDS else float(found.p),
        "p_holm": None,
    }


def adjust(effects: list[dict[str, Any]]) -> None:
    """Write Holm's p into effects that are tested together.

    A test that is still to be made counts as one that finds nothing: whatever it will find, no p grows by it.
    """
    adjusted = holm(np.array([1.0 if each["p"] is None else each["p"] for each in effects]))
    for each, p in zip(effects, adjusted, strict=True):
        each["p_holm"] = None if each["p"] is None else float(p)
