"""Paired error: each sample against the true picture of its condition, for these data have exactly one."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from bench.quality import interval

# From linear sRGB to XYZ over the white of D65, a row for each of X, Y and Z (IEC 61966-2-1).
TO_XYZ = torch.tensor([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
                       [0.0193339, 0.1191920, 0.9503041]])  # fmt: skip
CHUNK = 256  # images


def linear(values: Tensor) -> Tensor:
    """sRGB in [0, 1] without its gamma."""
    return torch.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab_from_srgb(images: Tensor) -> Tensor:
    """uint8 (N, 3, H, W) to CIELAB under D65, float32 (N, 3, H, W)."""
    white = TO_XYZ / TO_XYZ.sum(1, keepdim=True)  # so that white is (1, 1, 1)
    xyz = torch.einsum("kc,nchw->nkhw", white, linear(images.float() / 255))
    f = torch.where(xyz > (6 / 29) ** 3, xyz.clamp(min=1e-9) ** (1 / 3), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


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
