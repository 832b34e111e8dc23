"""How far two sets of features are apart: Fréchet distance with its interval, precision and recall."""

from dataclasses import dataclass
from typing import Any

import torch
from scipy.stats import norm
from torch import Tensor
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

from bench.errors import BadInput
from bench.quality import interval

NEIGHBOURS = 3  # of precision and recall


@dataclass(frozen=True)
class Moments:
    """Mean (D,) of a feature set and a factor (R, D) of its covariance: factorᵀ · factor."""

    mean: Tensor
    factor: Tensor

    @property
    def variance(self) -> Tensor:
        """Trace of the covariance."""
        return self.factor.square().sum()


def check_sides(*sides: Tensor) -> None:
    """BadInput unless every side has the two images that a covariance needs, and all of its features are finite."""
    if (fewest := min(map(len, sides))) < 2:
        raise BadInput(f"a Fréchet distance needs at least 2 images a side, not {fewest}: take more images or samples")
    if not all(side.isfinite().all() for side in sides):
        raise BadInput("an extractor gives features that are not finite: a distance needs another extractor")


def moments(features: Tensor) -> Moments:
    """Features (N, D) to their moments; BadInput below two images."""
    check_sides(features)
    mean = features.double().mean(0)
    centred = (features.double() - mean) / (len(features) - 1) ** 0.5
    tall = len(features) > features.shape[1]
    return Moments(mean, torch.linalg.qr(centred, mode="r").R if tall else centred)


def frechet(a: Moments, b: Moments) -> float:
    """Fréchet distance of two Gaussians.

    The trace of (Σa Σb)^½ is the sum of the singular values of A · Bᵀ, where Aᵀ A = Σa and Bᵀ B = Σb: no larger
    than the smaller set of images, and exact where the covariances are rank-deficient.
    """
    shared = torch.linalg.svdvals(a.factor @ b.factor.T).sum()
    return max(0.0, ((a.mean - b.mean).square().sum() + a.variance + b.variance - 2 * shared).item())


def frechet_distance(real: Tensor, generated: Tensor) -> float:
    """Fréchet distance of two feature sets (N, D), as torch-fidelity has it but faster."""
    return frechet(moments(real), moments(generated))


def reference_frechet_distance(real: Tensor, generated: Tensor) -> float:
    """The same by torch-fidelity: the number that is reported."""
    check_sides(real, generated)
    sides = [fid_features_to_statistics(features.double()) for features in (real, generated)]
    return max(0.0, fid_statistics_to_metric(*sides, verbose=False)[KEY_METRIC_FID])


def standard_error(fixed: Moments, drawn: Tensor) -> float:
    """Standard error of the Fréchet distance over the images `drawn` (N, D), the other side being as it is.

    By the infinitesimal jackknife: how the distance changes with the weight of each image. Of the trace of
    (Σa Σb)^½ that is, for image i, half of n times the i-th diagonal element of (Bc Σa Bcᵀ)^½, where Bᵀ B = Σb.
    """
    mean = drawn.double().mean(0)
    centred = drawn.double() - mean
    product = fixed.factor @ centred.T / (len(drawn) - 1) ** 0.5  # (R, N)
    effects = centred.square().sum(1) - len(drawn) * root_diagonal(product) + 2 * centred @ (mean - fixed.mean)
    return (effects.std() / len(drawn) ** 0.5).item()


def root_diagonal(product: Tensor) -> Tensor:
    """The diagonal (N,) of (Pᵀ P)^½, of a matrix P (R, N): by the smaller of its two Gram matrices."""
    if product.shape[1] <= product.shape[0]:
        values, vectors = torch.linalg.eigh(product.T @ product)
        return vectors.square() @ values.clamp(min=0).sqrt()
    values, vectors = torch.linalg.eigh(product @ product.T)
    roots = values.clamp(min=max(values[-1].item() * 1e-15, 1e-300)).sqrt()
    return (product.T @ vectors).square() @ (1 / roots)


def frechet_interval(real: Tensor, generated: Tensor, around: float) -> list[float]:
    """95 % interval of the distance that this many generated images have, over these images."""
    scale = max(standard_error(moments(real), generated), 1e-300)
    return [float(edge) for edge in norm.interval(interval.CONFIDENCE, loc=around, scale=scale)]


def precision_recall(real: Tensor, generated: Tensor) -> dict[str, Any] | None:
    """Precision and recall by torch-fidelity, each a share of images; None where there are too few for neighbours."""
    if min(len(real), len(generated)) <= NEIGHBOURS:
        return None
    found = prc_features_to_metric(generated, real, prc_neighborhood=NEIGHBOURS, save_cpu_ram=False, verbose=False)
    return {
        "neighbours": NEIGHBOURS,
        "precision": interval.share(round(found[KEY_METRIC_PRECISION] * len(generated)), len(generated)),
        "recall": interval.share(round(found[KEY_METRIC_RECALL] * len(real)), len(real)),
    }
