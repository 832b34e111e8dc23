"""`bench samplers`: how much the number of sampling steps decides, for each contestant and between them.

One step is the model's own prediction from pure noise: what a regression would draw, without any diffusion.
"""

import dataclasses
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from bench.data.library import DataRequest, cache_path, load
from bench.data.splits import asked_of, split
from bench.display import display
from bench.errors import BadInput
from bench.inference.load import Model, find_model, ready
from bench.quality.exact import ExactJudge
from bench.quality.features import EFFICIENTNET, cached_features, extract
from bench.quality.interval import CONFIDENCE
from bench.quality.kernel_distance import kernel_contrast, kernel_distance
from bench.quality.paired import colour_difference, measure_paired
from bench.quality.score import can_be_drawn, real_side
from bench.quality.significance import paired_difference
from bench.sampling import samples
from bench.storage.folder import ResultsFolder

SCHEMA_VERSION = 1
STEPS = (1, 2, 5, 10, 20, 30, 100)  # and all of the schedule's
# Declared before anything was measured: by so much a sampler may differ from all steps and still decide nothing.
COLOUR_TOLERANCE = 0.25  # ΔE, a tenth of what the eye just notices
KERNEL_TOLERANCE = 0.1  # of the KID of all steps


def samplers(out: Path, names: list[str], recipe: str, steps: list[int], count: int, cache: Path) -> dict[str, Any]:
    """Quality of each contestant's model by sampling steps, and which numbers of steps decide nothing.

    `fewest` lies within tolerance of all steps for each contestant. `fewest_of_differences` asks less: that the
    difference between any two contestants is within tolerance of their difference at all steps.
    """
    found = {name: by_steps(out, find_model(out, name, recipe), steps, count, cache) for name in names}
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


def fewest(rows: list[dict[str, Any]]) -> int:
    """The fewest steps of those for which every row is within tolerance; all steps always are."""
    beyond = {row["steps"] for row in rows if not row["within"]}
    return min({row["steps"] for row in rows} - beyond)


@dataclass(frozen=True)
class BySteps:
    """What was found of one model: a row for every number of steps, and the samples' ΔE (N,) behind it."""

    run: str
    rows: list[dict[str, Any]]
    colours: dict[int, Tensor]


def by_steps(out: Path, model: Model, steps: list[int], count: int, cache: Path) -> BySteps:
    """One model's samples of the same conditions and latents by every number of steps, held against all steps."""
    config, sizes = model.config, model.config.sizes
    request = DataRequest(config.data, sizes.images, sizes.image_size)
    avatars = load(request, cache_path(request, cache))
    if avatars.content_hash != config.data_hash:
        raise BadInput(f"{config.name} was trained on other data than these: run it again")
    parts = split(avatars)
    asked = asked_of(parts, count)
    others, _ = real_side(len(parts.test), len(asked))
    real = cached_features(parts.test.images, EFFICIENTNET, None, "cpu", cache)[others]
    judge = ExactJudge(asked, cache) if can_be_drawn(asked) else None
    drawn = {n: draw_in(out, model, asked.conditions, n) for n in sorted({*steps, config.recipe.timesteps})}
    whole, _ = drawn[config.recipe.timesteps]
    rows = [
        {
            "steps": n,
            "seconds_per_sample": seconds / count,
            **({} if judge is None else judge.brief(images)),
            **compared(images, whole, asked.images, real),
        }
        for n, (images, seconds) in drawn.items()
    ]
    return BySteps(config.name, rows, {n: colour_difference(images, asked.images) for n, (images, _) in drawn.items()})


def contrast(one: str, other: str, found: dict[str, BySteps]) -> dict[str, Any]:
    """By how much two contestants differ in ΔE by steps, and how far that is from their difference at all steps."""
    differences = {n: found[one].colours[n] - found[other].colours[n] for n in found[one].colours}
    whole = differences[max(differences)]
    rows = []
    for n, each in differences.items():
        shift = difference(each, whole)
        within = each is whole or inside(shift, COLOUR_TOLERANCE)
        rows.append({"steps": n, "colour": mean_of(each), "shift": shift, "within": within})
    return {"between": [one, other], "rows": rows}


def compared(images: Tensor, whole: Tensor, true: Tensor, real: Tensor) -> dict[str, Any]:
    """What a sampler's images are worth, and how they differ from those of all steps; `real` are features."""
    features, of_whole = (extract(each, EFFICIENTNET, None, "cpu") for each in (images, whole))
    colour = difference(colour_difference(images, true), colour_difference(whole, true))
    kernel, full = kernel_difference(real, features, of_whole), kernel_distance(real, of_whole)
    tolerance = 0.0 if full is None else KERNEL_TOLERANCE * abs(full["value"])
    return {
        "paired": measure_paired(images, true),
        "kid": kernel_distance(real, features),
        "colour_difference": colour,
        "kernel_difference": kernel,
        "within": images is whole or (inside(colour, COLOUR_TOLERANCE) and inside(kernel, tolerance)),
    }


def draw_in(out: Path, model: Model, conditions: Tensor, steps: int) -> tuple[Tensor, float]:
    """Samples in so many steps, and the seconds that they took; found again where they have been drawn before."""
    denoiser, device = ready(model.denoiser(), model.config)
    recipe = dataclasses.replace(model.config.recipe, sampling_steps=steps)
    series = samples.Series(f"steps-{steps}-of-{len(conditions)}", len(conditions), recipe.guidance, recipe)
    with display(model.config.contestant) as show:
        show.phase(f"{len(conditions)} samples in {steps} steps", len(conditions))
        folder = ResultsFolder(out).run(model.config.name).samples
        drawn = samples.kept_samples(folder, series, denoiser, model.config, conditions, device, show.advance)
    print(f"{model.config.contestant}: {steps} steps took {drawn.seconds:.1f} s", file=sys.stderr)
    return drawn.images, drawn.seconds


def difference(ours: Tensor, theirs: Tensor) -> list[float]:
    """Mean difference of two samplers' values (N,) of the same conditions, with its interval."""
    return mean_of(ours.double() - theirs.double())


def kernel_difference(real: Tensor, ours: Tensor, theirs: Tensor) -> list[float]:
    """Difference of two samplers' KID, with its interval over the conditions."""
    return mean_of(kernel_contrast(real, ours, theirs))


def mean_of(differences: Tensor) -> list[float]:
    """The mean of differences (N,), and the ends of its interval over other conditions; not over other trainings."""
    found = paired_difference(differences.double().numpy())
    return [float(found.mean), float(found.low), float(found.high)]


def inside(found: list[float], tolerance: float) -> bool:
    """Whether the whole interval lies within the tolerance."""
    _, low, high = found
    return -tolerance <= low and high <= tolerance
