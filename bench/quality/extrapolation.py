"""The Fréchet distance that endless many images would have, read off the one that half as many have."""

from typing import Any

import torch
from scipy.stats import norm
from torch import Tensor

from bench import randomness
from bench.quality import interval
from bench.quality.distance import frechet, moments, standard_error

SPLITS = 4  # into halves; a further one hardly makes the value steadier
FEWEST = 2000  # images a side: of fewer, the distance is no straight line in 1/n yet


def halves(features: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Two halves of features (N, D), drawn at random."""
    order = torch.randperm(len(features), generator=randomness.generator(0, "halves", seed))
    middle = len(features) // 2
    return features[order[:middle]], features[order[middle : 2 * middle]]


def frechet_of_halves(real: Tensor, generated: Tensor) -> float:
    """Mean distance of half of the real images to half of the generated ones."""
    found = []
    for split in range(SPLITS):
        pairs = zip(halves(real, 2 * split), halves(generated, 2 * split + 1), strict=True)
        found += [frechet(moments(a), moments(b)) for a, b in pairs]
    return sum(found) / len(found)


def unlimited_frechet(real: Tensor, generated: Tensor, distance: float) -> dict[str, Any] | None:
    """The distance extrapolated to n → ∞, with its interval over both sides; None below `FEWEST` images.

    The distance grows by a term in 1/n (Chong and Forsyth 2020). Halves of both sides have twice that term, so the line
    through both ends at 2 · distance − that of the halves.
    """
    if min(len(real), len(generated)) < FEWEST:
        return None
    value = 2 * distance - frechet_of_halves(real, generated)
    ours, theirs = standard_error(moments(real), generated), standard_error(moments(generated), real)
    edges = norm.interval(interval.CONFIDENCE, loc=value, scale=max((ours**2 + theirs**2) ** 0.5, 1e-300))
    return {"value": value, "interval": [float(edge) for edge in edges]}
