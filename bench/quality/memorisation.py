"""Whether samples are copies: how near the nearest training image is, beside the same for held-out real images."""

from typing import Any

import torch
from torch import Tensor

from bench.quality import interval

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
