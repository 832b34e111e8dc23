"""A run's samples and what they are worth: drawn after every epoch and at the end, scored when training is over."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench import distributed
from bench.data.dataset import AvatarSet, Split, asked_of
from bench.display import Display
from bench.errors import RunFailed
from bench.quality.classifier import AttributeClassifier, load_classifier
from bench.quality.features import extractor_named
from bench.quality.score import Extraction, Scorer, curve
from bench.runs.job import Job
from bench.sampling import samples
from bench.sampling.draw import draw
from bench.training.trainer import Trainer
from bench.training.validation import validation_losses


def look(trainer: Trainer, job: Job, parts: Split, show: Display) -> tuple[Tensor, dict[str, list[float]]]:
    """After an epoch's steps: samples, of which those of its point of the curve are kept, and validation losses."""
    device, epoch, sizes = trainer.accelerator.device, trainer.log.epochs_done + 1, job.run.sizes

    def losses_of(denoiser: nn.Module) -> list[float]:
        layout = trainer.memory_format
        return validation_losses(
            denoiser, trainer.noise_schedule, parts.held_out, sizes.validation_images, device, layout
        )

    show.phase(f"validation after epoch {epoch}", 1)
    losses = {"raw": losses_of(trainer.raw())}
    with trainer.averaged() as denoiser:
        if trainer.ema is not None:
            losses["averaged"] = losses_of(denoiser)
        show.phase(f"samples after epoch {epoch}", sizes.curve_samples)
        images = draw(denoiser, job.run, asked_of(parts, sizes.curve_samples).conditions, device, advance=show.advance)
    if distributed.rank() == 0:
        samples.keep_epoch(job.folder.samples, epoch, images)
    return images, losses


def draw_all(trainer: Trainer, job: Job, asked: AvatarSet, show: Display) -> dict[str, samples.Drawn]:
    """Every series of samples that is to be scored, by name."""
    drawn, device = {}, trainer.accelerator.device
    with trainer.averaged() as denoiser:
        weights = samples.weights_digest(denoiser)
        for series in samples.series_of(job.run):
            show.phase(f"sampling, {series.name}", series.count)
            drawn[series.name] = samples.kept_samples(
                job.folder.samples, series, denoiser, job.run, asked.conditions, device, show.advance, weights
            )
    return drawn


def score(
    job: Job,
    drawn: dict[str, samples.Drawn],
    parts: Split,
    log: dict[str, Any],  # of training
    training_flop_per_image: float | None,
    show: Display,
) -> dict[str, Any]:
    """What the samples of the trained denoiser are worth, and, in brief, those after every epoch."""
    sizes = job.run.sizes
    scorer = scorer_for(job, parts, asked_of(parts, max(sizes.samples, sizes.curve_samples)), show)
    epochs = [samples.epoch_samples(job.folder.samples, epoch + 1) for epoch in range(sizes.epochs)]
    main, full = drawn[samples.MAIN].images, drawn.get(samples.FULL)
    images = [*(each.images for each in drawn.values()), *(each for each in epochs if each is not None)]
    show.phase("scoring", sum(map(len, images)))
    found = scorer.score(main) | {
        "guidance": scorer.guidance(samples.by_guidance(job.run, drawn)),
        "sampler": None if full is None else scorer.samplers(main[: len(full.images)], full.images),
        "curve": curve([each if each is None else scorer.brief(each) for each in epochs], log, training_flop_per_image),
    }
    show.say(f"scored in {show.seconds():.1f} s: attribute accuracy {found['attributes']['macro']['accuracy']}")
    return found


def scorer_for(job: Job, parts: Split, asked: AvatarSet, show: Display) -> Scorer:
    """The classifier and the features of real images, from the cache where they are there."""
    run, classifier = job.run, classifier_of(job, parts)
    paths = {extractor_named(name): path for name, path in job.extractors.items()}
    weights = {name: None if path is None else Path(path) for name, path in paths.items()}
    show.phase("features of real images", len(weights) * (len(parts.train) + len(parts.held_out)))
    return Scorer(classifier, parts, asked, Extraction(weights, run.device, Path(job.cache), show.advance))


def classifier_of(job: Job, parts: Split) -> AttributeClassifier:
    """The attribute classifier of this data; RunFailed if it is no longer cached."""
    classifier = load_classifier(Path(job.classifier), parts.train.schema, torch.device(job.run.device))
    if classifier is None:
        raise RunFailed("the classifier's cache is gone: run again")
    return classifier
