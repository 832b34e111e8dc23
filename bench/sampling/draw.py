"""Drawing many samples from a denoiser in batches; each image has its own seed, so batching changes none."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench import distributed
from bench.config import Recipe, RunConfig
from bench.contestants import MEMORY_FORMATS
from bench.data.dataset import to_pixels
from bench.errors import RunFailed
from bench.sampling.diffusion import sample

CPU_BATCH = 32  # fits its caches
LARGE_BATCH = 256
ROUNDING = 1e-3  # far less than a step of 8 bits


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
    """uint8 images (N, 3, H, W) for N conditions, on every one of the processes that share the work."""
    images = [torch.empty(0, 3, config.sizes.image_size, config.sizes.image_size, dtype=torch.uint8, device=device)]
    size = CPU_BATCH if device.type == "cpu" else LARGE_BATCH
    ours = distributed.share(len(condition))
    for start in range(0, len(ours), size):
        indices = ours[start : start + size]
        batch = sample(
            denoiser,
            recipe or config.recipe,
            condition[list(indices)].to(device),
            config.sizes.image_size,
            config.seed if seed is None else seed,
            indices,
            config.recipe.guidance if guidance is None else guidance,
            MEMORY_FORMATS[config.memory_format],
        )
        refuse_unless_pixels(batch, config.recipe.clip_sample)
        images.append(to_pixels(batch, config.recipe.centred))
        advance(len(indices))
    return distributed.gathered(torch.cat(images), len(condition)).cpu()


def refuse_unless_pixels(images: Tensor, are_clipped: bool = True) -> None:
    """RunFailed, with their number, if pixels in model space are not finite or not between −1 and 1.

    Where the recipe clips what it predicts of the finished image, none can be outside unless something is broken.
    """
    broken = int((~torch.isfinite(images)).sum())
    if broken:
        raise RunFailed(f"sampling gave {broken} of {images.numel()} pixel values that are not finite")
    outside = int((images.abs() > 1 + ROUNDING).sum())
    if outside and are_clipped:
        raise RunFailed(f"sampling gave {outside} of {images.numel()} pixel values outside of -1 to 1")
