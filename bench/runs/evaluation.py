"""A run's samples and what they are worth: drawn after every epoch and at the end, scored when training is over."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.data.dataset import AvatarSet
from bench.data.splits import Split, asked_of
from bench.data.variants import cached_variants, can_be_drawn
from bench.display import Display
from bench.errors import RunFailed
from bench.quality.classifier import AttributeClassifier, load_classifier
from bench.quality.exact import judged_of
from bench.quality.features import extractor_named
from bench.quality.score import Extraction, Scorer, curve
from bench.runs.job import Job
from bench.sampling import samples
from bench.sampling.draw import draw
from bench.storage.weights import read_weights
from bench.training.budgets import main_end
from bench.training.trainer import Trainer
from bench.training.validation import validation_losses


def losses_of(trainer: Trainer, job: Job, parts: Split) -> dict[str, list[float]]:
    """Validation losses of the raw weights, and of their average where one is kept."""
    device, count = trainer.accelerator.device, job.run.sizes.validation_images

    def losses(denoiser: nn.Module) -> list[float]:
        layout = trainer.memory_format
        return validation_losses(denoiser, trainer.noise_schedule, parts.validation, count, device, layout)

    found = {"raw": losses(trainer.raw())}
    if trainer.ema is not None:
        with trainer.averaged() as denoiser:
            found["averaged"] = losses(denoiser)
    return found


def evaluate_epoch(trainer: Trainer, job: Job, parts: Split, show: Display) -> tuple[Tensor, dict[str, list[float]]]:
    """After an epoch's steps: a strip of samples, and validation losses."""
    epoch = trainer.log.epochs_done + 1
    show.phase(f"validation after epoch {epoch}", 1)
    losses = losses_of(trainer, job, parts)
    show.phase(f"samples after epoch {epoch}", samples.STRIP)
    asked = asked_of(parts, samples.STRIP).conditions
    with trainer.averaged() as denoiser:
        images = draw(denoiser, job.run, asked, trainer.accelerator.device, advance=show.advance)
    return images, losses


def finished_model(trainer: Trainer, job: Job, steps: int) -> nn.Module:
    """The denoiser as it was when it had finished a budget of so many steps; training is over."""
    trainer.accelerator.wait_for_everyone()  # the first process writes it
    denoiser = trainer.raw()
    denoiser.load_state_dict(read_weights(job.folder.weights(steps)))
    return denoiser


def draw_all(trainer: Trainer, job: Job, asked: AvatarSet, show: Display) -> dict[str, samples.Drawn]:
    """Every series of samples that is to be scored, by name; the denoiser is then that of the main budget."""
    drawn, device = {}, trainer.accelerator.device
    main = main_end(job.run, len(trainer.train))
    for end in sorted(trainer.ends, key=lambda each: each == main):
        denoiser = finished_model(trainer, job, end)
        weights = samples.weights_digest(denoiser)
        for series in samples.series_of(job.run) if end == main else [samples.after(job.run, end)]:
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
    """What the samples of the trained denoiser are worth, and, in brief, those at every other budget."""
    sizes = job.run.sizes
    scorer = scorer_for(job, parts, asked_of(parts, max(sizes.samples, sizes.curve_samples)), show)
    main, full = drawn[samples.MAIN].images, drawn.get(samples.FULL)
    show.phase("scoring")  # several measures look at each image, some of them at real ones
    by_steps = {
        point["steps"]: drawn[samples.after(job.run, point["steps"]).name].images
        if point["steps"] != log["main_steps"]
        else main[: sizes.curve_samples]
        for point in log["points"]
    }
    budgets = dict(zip(map(str, sizes.budgets), job.run.budget_steps, strict=True))
    found = scorer.score(main) | {
        "references": scorer.references(len(main)),
        "guidance": scorer.guidance(samples.by_guidance(job.run, drawn)),
        "sampler": None if full is None else scorer.samplers(main[: len(full.images)], full.images),
        "curve": curve(
            {steps: scorer.brief(each) for steps, each in by_steps.items()}, log, budgets, training_flop_per_image
        ),
    }
    show.say(f"scored in {show.seconds():.1f} s: attribute accuracy {found['attributes']['macro']['accuracy']}")
    return found


def scorer_for(job: Job, parts: Split, asked: AvatarSet, show: Display) -> Scorer:
    """The classifier and the features of real images, from the cache where they are there."""
    run, classifier = job.run, classifier_of(job, parts)
    paths = {extractor_named(name): path for name, path in job.extractors.items()}
    weights = {name: None if path is None else Path(path) for name, path in paths.items()}
    if can_be_drawn(asked):
        show.phase("drawings of every variant")
        cached_variants(judged_of(asked), Path(job.cache), show.advance)
    show.phase("features of real images", len(weights) * (len(parts.train) + len(parts.test)))
    return Scorer(classifier, parts, asked, Extraction(weights, run.device, Path(job.cache), show.advance))


def classifier_of(job: Job, parts: Split) -> AttributeClassifier:
    """The attribute classifier of this data; RunFailed if it is no longer cached."""
    classifier = load_classifier(Path(job.classifier), parts.train.schema, torch.device(job.run.device))
    if classifier is None:
        raise RunFailed("the classifier's cache is gone: run again")
    return classifier
