"""KID: an unbiased kernel distance of two sets of features over all images, with a 95 % interval."""

from typing import Any

from scipy.stats import norm
from torch import Tensor
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

from bench.quality import interval

FEWEST = 4  # images a side


def kernel(a: Tensor, b: Tensor) -> Tensor:
    """torch-fidelity's polynomial kernel of features (N, D) and (M, D)."""
    return (a @ b.T / a.shape[1] + 1) ** 3


def row_means(own: Tensor) -> Tensor:
    """Mean (N,) of each row of a kernel matrix (N, N) over the other images."""
    return (own.sum(1) - own.diagonal()) / (len(own) - 1)


def interaction(own: Tensor) -> Tensor:
    """Variance of what a kernel of two images of one set has beyond the effects of each, from (N, N)."""
    rows = row_means(own)
    left = own - rows[:, None] - rows + rows.mean()
    return (left.square().sum() - left.diagonal().square().sum()) / (len(own) * (len(own) - 1))


def cross_interaction(cross: Tensor) -> Tensor:
    """The same of two images of different sets, from (N, M)."""
    return (cross - cross.mean(1, keepdim=True) - cross.mean(0) + cross.mean()).square().mean()


def estimate(real: Tensor, generated: Tensor) -> tuple[float, float]:
    """MMD² as an unbiased U-statistic, and the variance of it over both sets.

    The variance has terms of first and of second order (Sutherland and Deka 2019): the latter are all that is left
    where the distributions are the same. The spread of the single images' effects holds them twice.
    """
    m, n = len(real), len(generated)
    own, other, cross = kernel(real, real), kernel(generated, generated), kernel(real, generated)
    ours, theirs = row_means(own), row_means(other)
    value = ours.mean() + theirs.mean() - 2 * cross.mean()
    second = 2 * interaction(own) / (m * (m - 1)) + 2 * interaction(other) / (n * (n - 1))
    second = second + 4 * cross_interaction(cross) / (m * n)
    spread = 4 * (ours - cross.mean(1)).var() / m + 4 * (theirs - cross.mean(0)).var() / n
    return value.item(), max(spread - second, second).item()


def kernel_contrast(real: Tensor, ours: Tensor, theirs: Tensor) -> Tensor:
    """What each pair of generated images (N, D) adds to KID(ours) − KID(theirs), (N,); their mean is that difference.

    To first order an image counts twice in the kernel of its own set, and once in a mean over it: hence the shift.
    """
    real, ours, theirs = real.double(), ours.double(), theirs.double()
    own, other = row_means(kernel(ours, ours)), row_means(kernel(theirs, theirs))
    effects = 2 * (own - kernel(ours, real).mean(1)) - 2 * (other - kernel(theirs, real).mean(1))
    return effects - own.mean() + other.mean()


def kernel_distance(real: Tensor, generated: Tensor) -> dict[str, Any] | None:
    """KID of feature sets (N, D) over all images; None below four.

    By torch-fidelity, as one subset of all images, where both sides have as many; where not, it could not use them all.
    """
    if min(len(real), len(generated)) < FEWEST:
        return None
    real, generated = real.double(), generated.double()
    value, variance = estimate(real, generated)
    if len(real) == len(generated):
        options = {"kid_subsets": 1, "kid_subset_size": len(real), "verbose": False}
        value = kid_features_to_metric(generated, real, **options)[KEY_METRIC_KID_MEAN]
    edges = norm.interval(interval.CONFIDENCE, loc=value, scale=max(variance**0.5, 1e-300))
    return {"value": value, "interval": [float(edge) for edge in edges]}
