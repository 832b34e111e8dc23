"""Paired error: each sample against the true picture of its condition, for these data have exactly one."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from bench.quality import interval
from bench.quality.palette import to_lab

CHUNK = 256  # images


def lab_from_srgb(images: Tensor) -> Tensor:
    """uint8 (N, 3, H, W) to CIELAB under D65, float64 (N, 3, H, W)."""
    return torch.from_numpy(to_lab(images.permute(0, 2, 3, 1).numpy())).permute(0, 3, 1, 2)


def colour_difference(generated: Tensor, true: Tensor) -> Tensor:
    """Mean over pixels of ΔE (CIE76: the Euclidean distance in CIELAB), (N,), of uint8 images (N, 3, H, W)."""
    pairs = zip(generated.split(CHUNK), true.split(CHUNK), strict=True)
    return torch.cat([(lab_from_srgb(a) - lab_from_srgb(b)).norm(dim=1).mean((1, 2)) for a, b in pairs])


def structural_similarity(generated: Tensor, true: Tensor) -> Tensor:
    """SSIM (N,) of uint8 images (N, 3, H, W), by torchmetrics: a Gaussian window of 11×11 pixels."""
    pairs = zip(generated.split(CHUNK), true.split(CHUNK), strict=True)
    return torch.cat([similarity(a.float(), b.float()) for a, b in pairs])


def similarity(generated: Tensor, true: Tensor) -> Tensor:
    found = structural_similarity_index_measure(generated, true, reduction="none", data_range=255.0)
    assert isinstance(found, Tensor)  # a pair of tensors only where asked
    return found.reshape(-1)  # of one image alone it has no dimension


def measure_paired(generated: Tensor, true: Tensor) -> dict[str, Any]:
    """Both errors of uint8 samples (N, 3, H, W) to the true pictures: means over samples with bootstrap intervals."""
    return {
        "colour": interval.mean(colour_difference(generated, true).double().numpy()),
        "structure": interval.mean(structural_similarity(generated, true).double().numpy()),
    }
