"""`bench samplers`: how much the number of sampling steps decides, for each contestant and between them.

One step is the model's own prediction from pure noise: without guidance, what a regression would draw.
"""

import dataclasses
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.config import RunConfig
from bench.data.library import DataRequest, cache_path, load
from bench.data.splits import split
from bench.data.variants import can_be_drawn
from bench.display import display
from bench.errors import BadInput
from bench.inference.load import Model, find_model, ready
from bench.quality.exact import ExactJudge
from bench.quality.features import EFFICIENTNET, cached_features, extract
from bench.quality.interval import CONFIDENCE
from bench.quality.kernel_distance import kernel_contrast, kernel_distance
from bench.quality.paired import colour_difference, measure_paired
from bench.quality.significance import paired_difference
from bench.sampling import samples
from bench.sampling.diffusion import wrong_steps
from bench.storage.folder import ResultsFolder

SCHEMA_VERSION = 1
REAL = 2048  # training images that samples are held against
STEPS = (1, 2, 5, 10, 20, 30, 100)  # and all of the schedule's
# Declared before anything was measured: by so much a sampler may differ from all steps and still decide nothing.
COLOUR_TOLERANCE = 0.25  # ΔE, a tenth of what the eye just notices
KERNEL_TOLERANCE = 0.1  # of the KID of all steps


def samplers(
    out: Path, names: list[str], recipe: str, steps: list[int], count: int, data: str, cache: Path
) -> dict[str, Any]:
    """Quality of each contestant's model by sampling steps, and which numbers of steps decide nothing.

    From `fewest` on, ΔE and KID are within tolerance of those of all steps for each contestant; from
    `fewest_of_differences` on, so are the differences between any two contestants. It is one seed's word.
    """
    models = {name: find_model(out, name, recipe) for name in names}
    refuse_unpaired([model.config for model in models.values()])
    found = {name: by_steps(out, model, steps, count, data, cache) for name, model in models.items()}
    rows = [row for each in found.values() for row in each.rows]
    contrasts = [contrast(a, b, found) for a, b in itertools.combinations(names, 2)]
    return {
        "schema_version": SCHEMA_VERSION,
        "samples": count,
        "colour_tolerance": COLOUR_TOLERANCE,
        "kernel_tolerance": KERNEL_TOLERANCE,
        "confidence": CONFIDENCE,
        "contestants": {name: {"run": each.run, "rows": each.rows} for name, each in found.items()},
        "differences": contrasts,
        "fewest": fewest(rows),
        "fewest_of_differences": fewest([row for each in contrasts for row in each["rows"]]) if contrasts else None,
    }


def refuse_unpaired(configs: list[RunConfig]) -> None:
    """BadInput unless all models have one seed and the same data: their samples are subtracted in pairs."""
    first = configs[0]
    for other in configs[1:]:
        if (first.seed, first.data_hash) != (other.seed, other.data_hash):
            raise BadInput(
                f"{first.name} and {other.name} differ in seed or data, so their samples are no pairs: "
                "ask for one contestant at a time, or run both with one seed"
            )


def fewest(rows: list[dict[str, Any]]) -> int:
    """The fewest steps from which on every row is within tolerance; all steps always are."""
    beyond = max((row["steps"] for row in rows if not row["within"]), default=0)
    return min(row["steps"] for row in rows if row["steps"] > beyond)


@dataclass(frozen=True)
class BySteps:
    """What was found of one model: a row for every number of steps, and what each sample adds to it.

    By steps: the samples' ΔE (N,), and what each adds to the difference of KID to that of all steps (N,).
    """

    run: str
    rows: list[dict[str, Any]]
    colours: dict[int, Tensor]
    kernels: dict[int, Tensor]
    tolerance: float  # of KID


def by_steps(out: Path, model: Model, steps: list[int], count: int, data: str, cache: Path) -> BySteps:
    """One model's samples of the same conditions and latents by every number of steps, held against all steps.

    They are asked for validation conditions: those of the test part are only to score by.
    """
    config, sizes = model.config, model.config.sizes
    request = DataRequest(data, sizes.images, sizes.image_size)
    avatars = load(request, cache_path(request, cache))
    if avatars.content_hash != config.data_hash:
        raise BadInput(f"{config.name} was trained on other data than these: name those with --data, or run it again")
    parts = split(avatars.seen_by(config.recipe))
    if count > len(parts.validation):
        raise BadInput(f"--count {count} is more than the {len(parts.validation)} validation images: ask for fewer")
    asked = parts.validation.subset(torch.arange(count))
    real = cached_features(parts.train.images[:REAL], EFFICIENTNET, None, "cpu", cache)
    judge = ExactJudge(asked, cache) if can_be_drawn(asked) else None
    for told in filter(None, (wrong_steps(n, config.recipe.timesteps) for n in steps)):
        raise BadInput(f"--steps: {told}")
    drawn = {n: draw_in(out, model, asked.conditions, n) for n in sorted({*steps, config.recipe.timesteps})}
    features = {n: extract(images, EFFICIENTNET, None, "cpu") for n, (images, _) in drawn.items()}
    colours = {n: colour_difference(images, asked.images) for n, (images, _) in drawn.items()}
    last = max(drawn)
    kernels = {n: kernel_contrast(real, each, features[last]) for n, each in features.items()}
    kids = {n: kernel_distance(real, each) for n, each in features.items()}
    rows = [
        {
            "steps": n,
            "seconds_per_sample": seconds / count,
            **({} if judge is None else judge.brief(images)),
            "paired": measure_paired(images, asked.images),
            "kid": kids[n],
            **shift(colours[n] - colours[last], kernels[n], tolerance_of(kids[last])),
        }
        for n, (images, seconds) in drawn.items()
    ]
    return BySteps(config.name, rows, colours, kernels, tolerance_of(kids[last]))


def tolerance_of(kid: dict[str, Any] | None) -> float:
    return 0.0 if kid is None else KERNEL_TOLERANCE * abs(kid["value"])


def shift(colour: Tensor, kernel: Tensor, kernel_tolerance: float) -> dict[str, Any]:
    """By how much ΔE and KID lie from those of all steps, from differences (N,), and whether within tolerance."""
    shifts = mean_of(colour), mean_of(kernel)
    within = all(inside(*each) for each in zip(shifts, (COLOUR_TOLERANCE, kernel_tolerance), strict=True))
    return {"colour_difference": shifts[0], "kernel_difference": shifts[1], "within": within}


def contrast(one: str, other: str, found: dict[str, BySteps]) -> dict[str, Any]:
    """By how much two contestants differ in ΔE by steps; how far ΔE and KID then are from their difference at all."""
    ours, theirs = found[one], found[other]
    differences = {n: ours.colours[n] - theirs.colours[n] for n in ours.colours}
    tolerance, whole = min(ours.tolerance, theirs.tolerance), differences[max(differences)]
    rows = [
        {"steps": n, "colour": mean_of(each), **shift(each - whole, ours.kernels[n] - theirs.kernels[n], tolerance)}
        for n, each in differences.items()
    ]
    return {"between": [one, other], "rows": rows}


def draw_in(out: Path, model: Model, conditions: Tensor, steps: int) -> tuple[Tensor, float]:
    """Samples in so many steps, and the seconds that they took; found again where they have been drawn before."""
    denoiser, device = ready(model.denoiser(), model.config)
    recipe = dataclasses.replace(model.config.recipe, sampling_steps=steps)
    series = samples.Series(f"validation-{steps}-steps-of-{len(conditions)}", len(conditions), recipe.guidance, recipe)
    with display(model.config.contestant) as show:
        show.phase(f"{len(conditions)} samples in {steps} steps", len(conditions))
        folder = ResultsFolder(out).run(model.config.name).samples
        drawn = samples.kept_samples(folder, series, denoiser, model.config, conditions, device, show.advance)
    print(f"{model.config.contestant}: {steps} steps took {drawn.seconds:.1f} s", file=sys.stderr)
    return drawn.images, drawn.seconds


def mean_of(differences: Tensor) -> list[float]:
    """The mean of differences (N,), and the ends of its interval over other conditions; not over other trainings."""
    found = paired_difference(differences.double().numpy())
    return [float(found.mean), float(found.low), float(found.high)]


def inside(found: list[float], tolerance: float) -> bool:
    """Whether the whole interval lies within the tolerance."""
    _, low, high = found
    return -tolerance <= low and high <= tolerance
