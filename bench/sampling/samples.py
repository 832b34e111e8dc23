"""The samples that a run is scored by: drawn once, and kept beside its checkpoints until they are scored."""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from bench import distributed
from bench.config import Recipe, RunConfig, Sizes
from bench.sampling.draw import draw
from bench.storage import cache

GUIDANCES = (0.0, 1.0, 2.0, 3.0, 5.0, 7.0, 9.0)  # the blog post's sweep
STRIP = 16  # samples in a strip, always of the same conditions
SWEEP = range(10)  # guidance scales of the moving picture
MAIN, FULL = "main", "full-sampler"
ALGORITHM = 1  # raise when the same weights and settings would give other images
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Series:
    """One way of drawing samples: of the first `count` conditions asked, from the same latents as every other."""

    name: str
    count: int
    guidance: float
    recipe: Recipe


def moving(sizes: Sizes) -> int:
    """How many samples move: few, so that a moving picture is small and soon drawn."""
    return min(8, sizes.sweep_samples // 2) or 1


def guidance_name(guidance: float) -> str:
    return f"guidance-{guidance:g}"


def series_of(config: RunConfig) -> list[Series]:
    """What is drawn of a trained denoiser: the scored samples, the guidance sweep, and the schedule's full sampler.

    At the recipe's own guidance the sweep uses the scored samples; where the recipe's sampler is the full one
    already, it is not drawn twice.
    """
    sizes, recipe = config.sizes, config.recipe
    few = min(sizes.sweep_samples, sizes.samples)
    full = dataclasses.replace(recipe, sampler="ddpm", sampling_steps=recipe.timesteps)
    found = [Series(MAIN, sizes.samples, recipe.guidance, recipe)]
    found += [Series(guidance_name(g), few, g, recipe) for g in GUIDANCES if g != recipe.guidance]
    if full == recipe or not sizes.full_samples:
        return found
    return [*found, Series(FULL, min(sizes.full_samples, sizes.samples), recipe.guidance, full)]


def after(config: RunConfig, steps: int) -> Series:
    """What is drawn of the model that was finished after so many steps, beside the main one's samples."""
    count = min(config.sizes.curve_samples, config.sizes.samples)
    return Series(f"after-{steps}-steps", count, config.recipe.guidance, config.recipe)


@dataclass(frozen=True)
class Drawn:
    """The uint8 images (N, 3, H, W) of a series, and the seconds that they took."""

    images: Tensor
    seconds: float


def by_guidance(config: RunConfig, drawn: dict[str, Drawn]) -> list[tuple[float, Tensor]]:
    """The images of the guidance sweep in the order of its scales, all of the same conditions and latents."""
    own, count = config.recipe.guidance, min(config.sizes.sweep_samples, config.sizes.samples)
    return [(g, drawn[MAIN if g == own else guidance_name(g)].images[:count]) for g in GUIDANCES]


def weights_digest(denoiser: nn.Module) -> str:
    """A digest of a denoiser's weights."""
    state = {name: tensor.detach().float().cpu() for name, tensor in denoiser.state_dict().items()}
    return cache.checksum(state, {})


def key_of(series: Series, weights: str, config: RunConfig) -> str:
    """What a series' images depend on besides the conditions, as a digest: its weights, settings and this code."""
    return cache.checksum(
        {}, {"algorithm": str(ALGORITHM), "series": repr(series), "run": repr(config), "weights": weights}
    )


def kept_samples(
    folder: Path, series: Series, denoiser: nn.Module, config: RunConfig, condition: Tensor, device: torch.device,
    advance: Advance = lambda _: None, weights: str | None = None,
) -> Drawn:  # fmt: skip
    """A series' samples: found again if these very weights have drawn them before, else drawn and kept.

    `weights` is their digest where it is known already: at full size it takes a second.
    """
    path, key = folder / f"{series.name}.safetensors", key_of(series, weights or weights_digest(denoiser), config)
    found = cache.read(path)
    if found is not None and found[1].get("key") == key:
        return Drawn(found[0]["images"], float(found[1]["seconds"]))
    started = time.perf_counter()
    images = draw(denoiser, config, condition[: series.count], device, series.guidance, series.recipe, advance)
    drawn = Drawn(images, time.perf_counter() - started)
    if distributed.rank() == 0:
        cache.write(path, {"images": images}, {"seconds": repr(drawn.seconds), "key": key})
    return drawn
