"""Everything that is measured on the features of samples and of real images."""

from typing import Any

import torch
from torch import Tensor

from bench.quality import interval
from bench.quality.distance import frechet_distance, frechet_interval, precision_recall, reference_frechet_distance
from bench.quality.extrapolation import unlimited_frechet
from bench.quality.kernel_distance import kernel_distance


def measure_distance(real: Tensor, generated: Tensor, train: Tensor | None) -> dict[str, Any]:
    """All distances between feature sets (N, D): held-out real, generated, and real training images.

    The floor is the distance of as many training images as were generated: what other real images get. There is
    none without `train`, where the real side has the very conditions that were asked.
    """
    distance = reference_frechet_distance(real, generated)
    others = None if train is None or len(train) < len(generated) else train[: len(generated)]
    floor = None if others is None else frechet_distance(real, others)
    return {
        "frechet_distance": distance,
        "interval": frechet_interval(real, generated, distance),
        "floor": floor,
        "floor_interval": None if others is None or floor is None else frechet_interval(real, others, floor),
        "ratio_to_floor": distance / floor if floor else None,
        "unlimited": unlimited_frechet(real, generated, distance),
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
