"""Drawing many samples from a denoiser in batches; each image has its own seed, so batching changes none."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.batches import MEMORY_FORMATS
from bench.config import Recipe, RunConfig
from bench.data.dataset import to_pixels
from bench.diffusion import sample
from bench.errors import RunFailed

CPU_BATCH = 32  # fits its caches
LARGE_BATCH = 256


def draw(
    denoiser: nn.Module,
    config: RunConfig,
    condition: Tensor,  # (N, D)
    device: torch.device,
    guidance: float | None = None,
    recipe: Recipe | None = None,
    advance: Callable[[int], None] = lambda n: None,
    seed: int | None = None,
) -> Tensor:
    """uint8 images (N, 3, H, W) for N conditions; RunFailed if the denoiser yields anything not finite."""
    images = []
    size = CPU_BATCH if device.type == "cpu" else LARGE_BATCH
    for start in range(0, len(condition), size):
        indices = range(start, min(start + size, len(condition)))
        batch = sample(
            denoiser,
            recipe or config.recipe,
            condition[start : indices.stop].to(device),
            config.sizes.image_size,
            config.seed if seed is None else seed,
            indices,
            config.recipe.guidance if guidance is None else guidance,
            MEMORY_FORMATS[config.memory_format],
        )
        if not torch.isfinite(batch).all():
            raise RunFailed("sampling gave pixels that are not finite")
        images.append(to_pixels(batch).cpu())
        advance(len(indices))
    return torch.cat(images)
