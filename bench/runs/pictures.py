"""The pictures of a trained denoiser: its samples by guidance scale, in motion, and where they go wrong."""

from itertools import islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from bench import randomness
from bench.config import Recipe, RunConfig
from bench.data.dataset import AvatarSet, to_model_space, to_pixels
from bench.display import Display
from bench.quality.attributes import scorable
from bench.quality.classifier import AttributeClassifier
from bench.record import Measurements
from bench.render.images import gallery
from bench.render.images.confusions import draw_confusions, most_confused
from bench.runs.job import Job
from bench.sampling import samples
from bench.sampling.diffusion import noise_schedule, sample_steps, sampler
from bench.training.batches import MEMORY_FORMATS

STRIP = 16  # samples in a strip, always of the same conditions
SHOWN = 32  # of the scored samples, each row above the real images of the same conditions
SWEEP = range(10)  # guidance scales of the moving picture
DENOISING_GUIDANCE = 7.0  # the source's
FRAMES = 24  # of the moving picture of denoising, at most
NOISING = 10  # pictures of the forward process


def moving(config: RunConfig) -> int:
    """How many samples move: few, so that a moving picture is small and soon drawn."""
    return min(8, config.sizes.sweep_samples // 2) or 1


def draw_pictures(
    job: Job,
    denoiser: nn.Module,
    asked: AvatarSet,
    drawn: dict[str, samples.Drawn],
    judge: AttributeClassifier | None,  # None: no confusions
    measured: Measurements,
    show: Display,
) -> dict[str, Any]:
    """Draw what one seed of a contestant is enough for: guidance, denoising, noising, confusions; their paths."""
    device = torch.device(job.run.device)
    show.phase("pictures", 4)
    found: dict[str, Any] = {"guidance": show_guidance(job, drawn)}
    show.advance(1)
    found["guidance_sweep"] = show_sweep(job, denoiser, asked, drawn, device)
    show.advance(1)
    found["denoising"] = show_denoising(job, denoiser, asked, device)
    show.advance(1)
    found["noising"] = show_noising(job, asked)
    if judge is None:
        return found
    return found | show_confusions(job, drawn[samples.MAIN].images, asked, judge, measured)


def show_samples(job: Job, generated: Tensor, asked: AvatarSet) -> dict[str, Any]:
    """Rows of samples, each above the real images of the same conditions, and the table's example."""
    path = job.image("samples")
    rows = []
    for start in range(0, min(SHOWN, len(generated)), STRIP):
        here = slice(start, min(start + STRIP, len(generated)))
        rows += [(f"drawn by {job.run.contestant}", generated[here]), ("real, as asked", asked.images[here])]
    gallery.write_captioned(Path(job.out) / path, rows)
    gallery.write_strip(Path(job.out) / job.image("example"), generated[:1])
    return {"samples": path, "example": job.image("example")}


def show_guidance(job: Job, drawn: dict[str, samples.Drawn]) -> dict[str, str]:
    """A strip a guidance scale, of the same conditions and latents."""
    found = {}
    for scale, images in samples.by_guidance(job.run, drawn):
        found[f"{scale:g}"] = job.image(samples.guidance_name(scale))
        gallery.write_strip(Path(job.out) / found[f"{scale:g}"], images[:STRIP])
    return found


def show_sweep(
    job: Job, denoiser: nn.Module, asked: AvatarSet, drawn: dict[str, samples.Drawn], device: torch.device
) -> str:
    """The same samples while the guidance scale rises from 0 to 9, in motion."""
    config, count = job.run, moving(job.run)
    known = dict(samples.by_guidance(config, drawn))
    weights = samples.weights_digest(denoiser)
    frames = []
    for scale in map(float, SWEEP):
        series = samples.Series(samples.guidance_name(scale), count, scale, config.recipe)
        images = known.get(scale)
        if images is None:
            images = samples.kept_samples(
                job.samples, series, denoiser, config, asked.conditions, device, weights=weights
            ).images
        frames.append(gallery.captioned(gallery.strip(images[:count]), f"guidance {scale:g}"))
    return write_moving(job, "guidance-sweep", frames, seconds=0.5)


def write_moving(job: Job, name: str, frames: list[Image.Image], seconds: float) -> str:
    path = str(Path(job.image(name)).with_suffix(".gif"))
    gallery.write_gif(Path(job.out) / path, frames, seconds, held=2.0)
    return path


def show_denoising(job: Job, denoiser: nn.Module, asked: AvatarSet, device: torch.device) -> str:
    """A few samples on their way from noise to picture, in motion."""
    config, count = job.run, moving(job.run)
    steps = config.recipe.sampling_steps
    every = -(-steps // FRAMES)
    states = sample_steps(
        denoiser,
        sampler(config.recipe),
        asked.conditions[:count].to(device),
        config.sizes.image_size,
        randomness.generators(config.seed, "sample", range(count)),  # those of the samples
        DENOISING_GUIDANCE,
        MEMORY_FORMATS[config.memory_format],
    )
    shown = islice(enumerate(states, start=1), (steps - 1) % every, None, every)  # the last one among them
    frames = [
        gallery.captioned(gallery.strip(to_pixels(state).cpu()), f"step {number} of {steps}, guidance 7")
        for number, state in shown
    ]
    return write_moving(job, "denoising", frames, seconds=0.2)


def show_noising(job: Job, asked: AvatarSet) -> str:
    """A real image at timesteps of the forward process, with the share of its variance that is left."""
    schedule, path = noise_schedule(job.run.recipe), job.image("noising")
    timesteps = noising_timesteps(job.run.recipe)
    image = to_model_space(asked.images[:1]).expand(len(timesteps), -1, -1, -1)
    noise = torch.randn(image.shape[1:], generator=randomness.generator(0, "noising")).expand_as(image)
    noisy = to_pixels(schedule.add_noise(image, noise, timesteps))
    tiles = [
        gallery.captioned(picture, f"t = {t}", f"ᾱ {float(schedule.alphas_cumprod[t]):.3f}")
        for t, picture in zip(timesteps.tolist(), gallery.to_pictures(noisy, gallery.SHOWN), strict=True)
    ]
    gallery.write_row(Path(job.out) / path, tiles)
    return path


def noising_timesteps(recipe: Recipe) -> Tensor:
    """Evenly spaced timesteps from the first to the last."""
    return torch.linspace(0, recipe.timesteps - 1, NOISING).round().long()


def show_confusions(
    job: Job, generated: Tensor, asked: AvatarSet, judge: AttributeClassifier, measured: Measurements
) -> dict[str, str]:
    """What is seen where what was asked, of the attribute that is shown worst, with a sample in every place."""
    confusion = None if measured.attributes is None else measured.attributes.confusion
    if confusion is None or not most_confused(confusion.counts):
        return {}
    asked = asked.subset(torch.arange(len(generated)))
    column = asked.schema.names.index(confusion.attribute)
    counted = scorable(asked, measured.judge.untrained if measured.judge else {})[:, column]
    seen = judge.predict(generated)[:, column]
    picture = draw_confusions(
        confusion.attribute,
        confusion.variants,
        confusion.counts,
        generated[counted],
        asked.codes[counted, column],
        seen[counted],
    )
    gallery.write_png(Path(job.out) / job.image("confusions"), picture)
    return {"confusions": job.image("confusions")}
