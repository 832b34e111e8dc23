"""Known defects, put into real images: what every measure is validated on."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.functional import adjust_brightness, adjust_hue, adjust_saturation, gaussian_blur

from bench import randomness

Defect = Callable[[Tensor], Tensor]  # uint8 images (N, 3, H, W) to the same with a defect


def to_uint8(images: Tensor) -> Tensor:
    return images.round().clamp(0, 255).to(torch.uint8)


def grain(images: Tensor, sd: float) -> Tensor:
    """The noise (N, 3, H, W) that is added to images: always the same."""
    return sd * torch.randn(images.shape, generator=randomness.generator(0, "defect"))


def noisy(images: Tensor, sd: float) -> Tensor:
    """Gaussian noise everywhere, of a standard deviation out of 255."""
    return to_uint8(images + grain(images, sd))


def blurred(images: Tensor, sd: float) -> Tensor:
    """Gaussian blur of a standard deviation in pixels."""
    return to_uint8(gaussian_blur(images.float(), [7, 7], [sd, sd]))


def noisy_background(images: Tensor, sd: float = 30.0) -> Tensor:
    """Noise where the image is black, and nowhere else."""
    black = images.amax(1, keepdim=True) == 0
    return to_uint8(images + black * grain(images, sd))


def turned_hue(images: Tensor, turn: float = 0.25) -> Tensor:
    """Every hue turned by a share of the colour circle; lightness and shape stay about as they were."""
    return adjust_hue(images, turn)


def wavy(images: Tensor, pixels: float = 2.5) -> Tensor:
    """Rows shifted left and right in a wave, by so many pixels at 32×32: every outline bends."""
    side = images.shape[-1]
    line = torch.linspace(-1, 1, side)
    y, x = torch.meshgrid(line, line, indexing="ij")
    grid = torch.stack([x + pixels / 16 * torch.sin(8 * y), y], dim=-1).expand(len(images), -1, -1, -1)
    return to_uint8(F.grid_sample(images.float(), grid, mode="nearest", padding_mode="border", align_corners=True))


def darker(images: Tensor) -> Tensor:
    return adjust_brightness(images, 0.7)


def paler(images: Tensor) -> Tensor:
    return adjust_saturation(images, 0.5)
