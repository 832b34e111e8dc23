"""How sure a number is: 95 % intervals over samples, by scipy."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import binomtest, bootstrap, norm

CONFIDENCE = 0.95
RESAMPLES = 1000


def share(hits: int, of: int) -> dict[str, Any]:
    """A share with its Wilson interval."""
    low, high = binomtest(hits, of).proportion_ci(CONFIDENCE, method="wilson")
    return {"value": hits / of, "interval": [float(low), float(high)], "of": of}


def mean(values: np.ndarray) -> dict[str, Any] | None:
    """The mean of the finite ones among values (N,), with a bootstrap interval; None where there are none."""
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return None
    found: dict[str, Any] = {"value": float(known.mean()), "interval": None, "of": len(known)}
    if len(known) > 1:
        found["interval"] = resampled(len(known), lambda rows: known[rows].mean())
    return found


def resampled(
    count: int,
    statistic: Callable[[np.ndarray], float],
    resamples: int | None = None,  # None: RESAMPLES
    around: float | None = None,
) -> list[float]:
    """Bootstrap over row numbers [0, count): the interval of `statistic(rows)`, by its percentiles.

    Or, `around` the statistic of the whole sample, by its standard deviation: a distance between distributions grows
    where rows are repeated, so its percentiles would lie above it.
    """
    rows, number = (np.arange(count),), RESAMPLES if resamples is None else resamples
    drawn = bootstrap(
        rows, statistic, n_resamples=number, vectorized=False, method="percentile", rng=np.random.default_rng(0)
    ).bootstrap_distribution
    if around is not None:
        return [float(edge) for edge in norm.interval(CONFIDENCE, loc=around, scale=max(drawn.std(ddof=1), 1e-300))]
    tail = (1 - CONFIDENCE) / 2
    return [float(edge) for edge in np.quantile(drawn, [tail, 1 - tail])]
