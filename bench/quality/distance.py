"""How far the samples are from held-out real images: Fréchet distances, by torch-fidelity."""

import hashlib
import json
from pathlib import Path
from typing import Any

from torch import Tensor
from torch_fidelity.metric_fid import (
    KEY_METRIC_FID,
    fid_features_to_statistics,
    fid_statistics_to_metric,
)

from bench import cache
from bench.quality.features import extract, extractor_label

FULL_RANK_FROM = 2048  # fewer images leave the covariance rank-deficient


def frechet_distance(real: Tensor, generated: Tensor) -> float:
    """Fréchet distance of two feature sets (N, D), by torch-fidelity; ValueError below two images a side."""
    if min(len(real), len(generated)) < 2:
        raise ValueError(f"a Fréchet distance needs at least 2 images a side, not {len(real)} and {len(generated)}")
    sides = [fid_features_to_statistics(features.double()) for features in (real, generated)]
    return max(0.0, fid_statistics_to_metric(*sides, verbose=False)[KEY_METRIC_FID])


def cached_features(images: Tensor, name: str, weights: Path | None, device: str, folder: Path) -> Tensor:
    """Features of real images, found again by the content of the images and of the extractor."""
    label = json.dumps([extractor_label(name, weights), list(images.shape)], sort_keys=True)
    key = hashlib.sha256(label.encode() + images.contiguous().numpy().tobytes()).hexdigest()
    path = folder / f"features-{key[:24]}.safetensors"
    found = cache.read(path)
    if found is not None:
        return found[0]["features"]
    features = extract(images, name, weights, device)
    cache.write(path, {"features": features})
    return features


def measure_distance(
    real: Tensor, generated: Tensor, name: str, weights: Path | None, device: str, folder: Path
) -> dict[str, Any]:
    """A Fréchet distance between uint8 images (N, 3, H, W), with everything that has to stand beside it."""
    return {
        "frechet_distance": frechet_distance(
            cached_features(real, name, weights, device, folder), extract(generated, name, weights, device)
        ),
        **extractor_label(name, weights),
        "real": len(real),
        "generated": len(generated),
        "split": "held-out",
        "rank_deficient": min(len(real), len(generated)) < FULL_RANK_FROM,
    }
