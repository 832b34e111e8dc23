"""Power laws y = a · x^−b, on the frontier: the points that are better than all that took less."""

from dataclasses import dataclass

import numpy as np

FEWEST = 3  # points that a law is fitted to
ROUNDING = 1e-9


@dataclass(frozen=True)
class PowerLaw:
    """y = 10^`height` · x^−`exponent`."""

    height: float
    exponent: float

    def at(self, x: float) -> float:
        return float(10 ** (self.height - self.exponent * np.log10(x)))


def frontier(x: np.ndarray, y: np.ndarray) -> list[int]:
    """The indices of the points with a lower y than every other point with as low an x, by x."""
    kept: list[int] = []
    for index in np.lexsort((y, x)):
        if not kept or y[index] < y[kept[-1]]:
            kept.append(int(index))
    return kept


def fitted(x: np.ndarray, y: np.ndarray) -> PowerLaw | None:
    """The law through positive points by least squares of the logarithms; None for fewer than three points."""
    if len(x) < FEWEST:
        return None
    slope, height = np.polyfit(np.log10(x), np.log10(y), 1)
    return PowerLaw(float(height), float(-slope))


def crossing(one: PowerLaw, other: PowerLaw) -> float:
    """log10 of the x where two laws have the same y; infinite where they are parallel up to rounding."""
    if abs(one.exponent - other.exponent) < ROUNDING:
        return np.inf
    return (one.height - other.height) / (one.exponent - other.exponent)


def better(one: PowerLaw, other: PowerLaw, x: float) -> int:
    """−1 where the first law has the lower y, 1 where the other has, 0 where both have the same up to rounding."""
    return round(np.sign(round(np.log10(one.at(x) / other.at(x)) / ROUNDING)))
