"""How far the samples are from held-out real images: Fréchet distance, KID, precision and recall."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

from bench.errors import BadInput
from bench.quality import interval

RESAMPLES = 100  # enough for a standard deviation to a tenth of itself
KID_SUBSETS, KID_SUBSET_SIZE = 100, 1000
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


def frechet_interval(real: Tensor, generated: Tensor, around: float) -> list[float]:
    """95 % interval of the distance over the generated images: bootstrap, centred on the distance itself."""
    reference, features = moments(real), generated.double()
    # Features meet the real side's factor once; a resample then only picks columns.
    projected = reference.factor @ features.T  # (R, N)
    squares = features.square().sum(1)

    def resampled(rows: np.ndarray) -> float:
        chosen = torch.from_numpy(rows)
        mean = features[chosen].mean(0)
        cross = projected[:, chosen] - (reference.factor @ mean)[:, None]
        freedom = len(rows) - 1
        variance = (squares[chosen].sum() - len(rows) * mean.square().sum()) / freedom
        small = cross @ cross.T if cross.shape[0] < cross.shape[1] else cross.T @ cross
        shared = torch.linalg.eigvalsh(small / freedom).clamp(min=0).sqrt().sum()
        return ((reference.mean - mean).square().sum() + reference.variance + variance - 2 * shared).item()

    return interval.resampled(len(features), resampled, RESAMPLES, around)


def kernel_distance(real: Tensor, generated: Tensor) -> dict[str, Any] | None:
    """KID by torch-fidelity, with its standard deviation over subsets of half the images; None below four."""
    size = min(KID_SUBSET_SIZE, min(len(real), len(generated)) // 2)
    if size < 2:
        return None
    found = kid_features_to_metric(
        generated.double(),
        real.double(),
        kid_subsets=KID_SUBSETS,
        kid_subset_size=size,
        verbose=False,
    )
    return {
        "value": found[KEY_METRIC_KID_MEAN],
        "sd": found[KEY_METRIC_KID_STD],
        "subsets": KID_SUBSETS,
        "subset_size": size,
    }


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


def measure_distance(real: Tensor, generated: Tensor, train: Tensor | None) -> dict[str, Any]:
    """All distances between feature sets (N, D): held-out real, generated, and real training images.

    The floor is the distance of as many training images as were generated: what other real images get. There is
    none without `train`, where the real side has the very conditions that were asked.
    """
    distance = reference_frechet_distance(real, generated)
    floor = None
    if train is not None and len(train) >= len(generated):
        floor = frechet_distance(real, train[: len(generated)])
    return {
        "frechet_distance": distance,
        "interval": frechet_interval(real, generated, distance),
        "floor": floor,
        "ratio_to_floor": distance / floor if floor else None,
        "kid": kernel_distance(real, generated),
        "precision_recall": precision_recall(real, generated),
        "real": len(real),
        "generated": len(generated),
        "split": "held-out, the conditions asked" if train is None else "held-out, other conditions",
        "rank_deficient": min(len(real), len(generated)) <= real.shape[1],
    }


NEAR = 0.05  # this share of the held-out real images counts as near to a training image
ALARM = 0.10  # more samples than this as near as those, beyond the interval: they are copies
LEAST = 40  # held-out images: of fewer, the nearest twentieth is one or none
CHUNK = 1024


def nearest(features: Tensor, train: Tensor) -> Tensor:
    """Distance (N,) of each feature (N, D) to the nearest of the training images' (M, D)."""
    return torch.cat([torch.cdist(rows, train).amin(1) for rows in features.split(CHUNK)])


def measure_memorisation(generated: Tensor, held_out: Tensor, train: Tensor) -> dict[str, Any]:
    """Are the samples nearer to training images than images are that no training ever saw?"""
    ours, theirs = nearest(generated, train), nearest(held_out, train)
    closer = interval.share(int((ours <= theirs.quantile(NEAR)).sum()), len(ours))
    return {
        "median_ratio": (ours.median() / theirs.median()).item() if theirs.median() > 0 else None,
        "closer": closer,
        "expected": NEAR,
        "flagged": closer["interval"][0] > ALARM if len(held_out) >= LEAST else None,
        "train": len(train),
        "held_out": len(held_out),
    }
