"""The pictures of a trained denoiser: its samples by guidance scale, in motion, and where they go wrong."""

from itertools import islice
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from bench import randomness
from bench.config import Recipe, RunConfig
from bench.contestants import MEMORY_FORMATS
from bench.data.dataset import AvatarSet, to_pixels
from bench.display import Display
from bench.quality.attributes import scorable
from bench.quality.classifier import AttributeClassifier
from bench.record import Measurements
from bench.render.images import gallery
from bench.render.images.confusions import draw_confusions, most_confused
from bench.sampling import samples
from bench.sampling.diffusion import noise_schedule, sample_steps, sampler
from bench.storage.folder import RunFolder

SHOWN = 32  # of the scored samples, each row above the real images of the same conditions
DENOISING_GUIDANCE = 7.0  # the blog post's
FRAMES = 24  # of the moving picture of denoising, at most
NOISING = 10  # pictures of the forward process


def draw_pictures(
    folder: RunFolder,
    run: RunConfig,
    denoiser: nn.Module,
    asked: AvatarSet,
    drawn: dict[str, samples.Drawn],
    classifier: AttributeClassifier | None,  # None: no confusions
    measured: Measurements,
    show: Display,
) -> dict[str, Any]:
    """Draw what one seed of a contestant is enough for: guidance, denoising, noising, confusions; their paths."""
    show.phase("pictures", 4)
    found: dict[str, Any] = {"guidance": show_guidance(folder, run, drawn)}
    show.advance(1)
    found["guidance_sweep"] = show_sweep(folder, run, denoiser, asked, drawn)
    show.advance(1)
    found["denoising"] = show_denoising(folder, run, denoiser, asked)
    show.advance(1)
    found["noising"] = show_noising(folder, run, asked)
    if classifier is None:
        return found
    return found | show_confusions(folder, drawn[samples.MAIN].images, asked, classifier, measured)


def show_samples(folder: RunFolder, run: RunConfig, generated: Tensor, asked: AvatarSet) -> dict[str, Any]:
    """Rows of samples, each above the real images of the same conditions, and the table's example."""
    path = folder.image("samples")
    rows = []
    for start in range(0, min(SHOWN, len(generated)), samples.STRIP):
        here = slice(start, min(start + samples.STRIP, len(generated)))
        rows += [(f"drawn by {run.contestant}", generated[here]), ("real, as asked", asked.images[here])]
    gallery.write_captioned(folder.out / path, rows)
    gallery.write_strip(folder.out / folder.image("example"), generated[:1])
    return {"samples": path, "example": folder.image("example")}


def show_guidance(folder: RunFolder, run: RunConfig, drawn: dict[str, samples.Drawn]) -> dict[str, str]:
    """A strip a guidance scale, of the same conditions and latents."""
    found = {}
    for scale, images in samples.by_guidance(run, drawn):
        found[f"{scale:g}"] = folder.image(samples.guidance_name(scale))
        gallery.write_strip(folder.out / found[f"{scale:g}"], images[: samples.STRIP])
    return found


def show_sweep(
    folder: RunFolder, run: RunConfig, denoiser: nn.Module, asked: AvatarSet, drawn: dict[str, samples.Drawn]
) -> str:
    """The same samples while the guidance scale rises from 0 to 9, in motion."""
    count = samples.moving(run.sizes)
    known = dict(samples.by_guidance(run, drawn))
    weights = samples.weights_digest(denoiser)
    frames = []
    for scale in map(float, samples.SWEEP):
        series = samples.Series(samples.guidance_name(scale), count, scale, run.recipe)
        images = known.get(scale)
        if images is None:
            images = samples.kept_samples(
                folder.samples, series, denoiser, run, asked.conditions, torch.device(run.device), weights=weights
            ).images
        frames.append(gallery.captioned(gallery.strip(images[:count]), f"guidance {scale:g}"))
    return write_moving(folder, "guidance-sweep", frames, seconds=0.5)


def write_moving(folder: RunFolder, name: str, frames: list[Image.Image], seconds: float) -> str:
    path = folder.image(name, "gif")
    gallery.write_gif(folder.out / path, frames, seconds, held=2.0)
    return path


def show_denoising(folder: RunFolder, run: RunConfig, denoiser: nn.Module, asked: AvatarSet) -> str:
    """A few samples on their way from noise to picture, in motion."""
    count = samples.moving(run.sizes)
    steps = run.recipe.sampling_steps
    every = -(-steps // FRAMES)
    states = sample_steps(
        denoiser,
        sampler(run.recipe),
        asked.conditions[:count].to(run.device),
        run.sizes.image_size,
        randomness.generators(run.seed, "sample", range(count)),  # those of the samples
        DENOISING_GUIDANCE,
        MEMORY_FORMATS[run.memory_format],
    )
    shown = islice(enumerate(states, start=1), (steps - 1) % every, None, every)  # the last one among them
    frames = [
        gallery.captioned(
            gallery.strip(to_pixels(state, run.recipe.centred).cpu()), f"step {number} of {steps}, guidance 7"
        )
        for number, state in shown
    ]
    return write_moving(folder, "denoising", frames, seconds=0.2)


def show_noising(folder: RunFolder, run: RunConfig, asked: AvatarSet) -> str:
    """A real image at timesteps of the forward process, with the share of its variance that is left."""
    schedule, path = noise_schedule(run.recipe), folder.image("noising")
    timesteps = noising_timesteps(run.recipe)
    image = asked.in_model_space(slice(1)).expand(len(timesteps), -1, -1, -1)
    noise = torch.randn(image.shape[1:], generator=randomness.generator(0, "noising")).expand_as(image)
    noisy = to_pixels(schedule.add_noise(image, noise, timesteps), run.recipe.centred)
    tiles = [
        gallery.captioned(picture, f"t = {t}", f"ᾱ {float(schedule.alphas_cumprod[t]):.3f}")
        for t, picture in zip(timesteps.tolist(), gallery.to_pictures(noisy, gallery.SHOWN), strict=True)
    ]
    gallery.write_row(folder.out / path, tiles)
    return path


def noising_timesteps(recipe: Recipe) -> Tensor:
    """Evenly spaced timesteps from the first to the last."""
    return torch.linspace(0, recipe.timesteps - 1, NOISING).round().long()


def show_confusions(
    folder: RunFolder, generated: Tensor, asked: AvatarSet, classifier: AttributeClassifier, measured: Measurements
) -> dict[str, str]:
    """What is seen where what was asked, of the attribute that is shown worst, with a sample in every place."""
    confusion = None if measured.attributes is None else measured.attributes.confusion
    if confusion is None or not most_confused(confusion.counts):
        return {}
    asked = asked.subset(torch.arange(len(generated)))
    column = asked.schema.names.index(confusion.attribute)
    counted = scorable(asked, measured.judge.untrained if measured.judge else {})[:, column]
    seen = classifier.predict(generated)[:, column]
    picture = draw_confusions(
        confusion.attribute,
        confusion.variants,
        confusion.counts,
        generated[counted],
        asked.codes[counted, column],
        seen[counted],
    )
    gallery.write_png(folder.out / folder.image("confusions"), picture)
    return {"confusions": folder.image("confusions")}
