"""Two contestants compared in pairs: how much they differ, how sure that is, and how often one is better.

A pair is a seed that both were trained with (the same order of data, noise and latents), or a condition that both drew.
All functions work along the last axis, so many comparisons can be made at once.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit
from scipy.stats import permutation_test

from bench.quality.interval import CONFIDENCE

FEWEST_SEEDS = 6  # an exact two-sided sign-flip test of fewer cannot reach 0.05
SIGNIFICANT = 0.05  # the chance that a table of equals names any difference
EQUAL = 1e-9  # of the mean: a smaller spread is rounding


@dataclass(frozen=True)
class PairedDifference:
    """Mean of the paired differences with its interval and p by Student's t; how often they are positive."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray  # two-sided, not adjusted; NaN of a single pair, as the interval is
    share_above: np.ndarray  # of pairs with a positive difference; a tie counts half
    share_low: np.ndarray
    share_high: np.ndarray
    pairs: int


def paired_difference(differences: np.ndarray) -> PairedDifference:
    """What differences (…, N) of N pairs say of each comparison."""
    pairs = differences.shape[-1]
    mean = differences.mean(-1)
    error = differences.std(-1, ddof=1) / pairs**0.5 if pairs > 1 else np.full_like(mean, np.nan)
    reach = stdtrit(pairs - 1, (1 + CONFIDENCE) / 2) * error
    above = (differences > 0).mean(-1) + (differences == 0).mean(-1) / 2
    return PairedDifference(
        mean, mean - reach, mean + reach, t_test(mean, error, pairs), above, *wilson(above, pairs), pairs
    )


def t_test(mean: np.ndarray, error: np.ndarray, pairs: int) -> np.ndarray:
    """The two-sided p of a paired t test.

    Differences that are all the same leave t without a spread: of these, p is that of the sign-flip test.
    """
    same = error * pairs**0.5 <= EQUAL * np.abs(mean)
    p = 2 * stdtr(pairs - 1, -np.abs(mean) / np.where(same, 1, error))
    return np.where(same, np.where(mean == 0, 1.0, 2.0 ** (1 - pairs)), p)


def sign_flip_test(differences: np.ndarray) -> float:
    """The two-sided p of differences (N,), each of which could as well have had the other sign; exact for N ≤ 13."""
    found = permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=9999, rng=np.random.default_rng(0)
    )  # fmt: skip
    return float(found.pvalue)


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's adjusted p of a family (…, N) of tests; NaN stands for a test that was not made, and stays."""
    order = np.argsort(p, axis=-1)  # NaN last
    tests = np.isfinite(p).sum(-1, keepdims=True)
    steps = np.take_along_axis(p, order, -1) * (tests - np.arange(p.shape[-1]))
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(np.maximum.accumulate(steps, axis=-1), 1), -1)
    return adjusted


def wilson(share: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of a share, which may count halves: scipy's takes whole numbers alone."""
    z = ndtri((1 + CONFIDENCE) / 2)
    middle = share + z**2 / (2 * count)
    reach = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return (middle - reach) / (1 + z**2 / count), (middle + reach) / (1 + z**2 / count)
