"""How fast the machine is at best: the rates that a model's speed is held against."""

import timeit
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.cost.account import AUTOCAST
from bench.train import synchronise

TIMES = 12
MATRIX = {"cpu": 1536}  # rows and columns
IMAGES = {"cpu": (8, 128, 32)}  # images, channels, height and width
LARGE_MATRIX, LARGE_IMAGES = 8192, (32, 512, 64)


def machine_peaks(device: str, precision: str) -> dict[str, Any]:
    """FLOP/s of a large matrix product and of a large 3×3 convolution: the fastest of many."""
    options: dict[str, Any] = {"device": device, "dtype": AUTOCAST.get(precision, torch.float32)}
    torch.set_float32_matmul_precision("high")  # as in training
    rows = MATRIX.get(device, LARGE_MATRIX)
    left, right = torch.randn(rows, rows, **options), torch.randn(rows, rows, **options)
    images, channels, side = IMAGES.get(device, LARGE_IMAGES)
    picture = torch.randn(images, channels, side, side, **options).to(memory_format=torch.channels_last)
    kernel = torch.randn(channels, channels, 3, 3, **options).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        product = fastest(lambda: left @ right)
        convolution = fastest(lambda: F.conv2d(picture, kernel, padding=1))
    return {
        "precision": precision,
        "gemm_flop_per_second": 2 * rows**3 / product,
        "convolution_flop_per_second": 2 * picture.numel() * channels * 9 / convolution,
    }


def fastest(run: Callable[[], Tensor]) -> float:
    """Seconds of the fastest run of many; the device is waited for."""
    return min(timeit.repeat(lambda: synchronise(run().device), number=1, repeat=TIMES))
