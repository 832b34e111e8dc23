"""Everything that is scored of a run: a pure function of its samples, the data, the classifier and the extractors."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.data.dataset import AvatarSet
from bench.data.splits import Split
from bench.data.variants import can_be_drawn
from bench.quality import interval
from bench.quality.artefacts import Reference, first_of, measure_artefacts, reference
from bench.quality.attributes import cached_bounds, macro_interval, macro_of, measure_attributes, scorable, scored
from bench.quality.classifier import AttributeClassifier
from bench.quality.distance import frechet, moments
from bench.quality.exact import ExactJudge
from bench.quality.features import EFFICIENTNET, cached_features, extract, extractor_label
from bench.quality.measured_distance import measure_distance, measure_memorisation
from bench.quality.paired import measure_paired
from bench.quality.palette import learn_palette
from bench.quality.references import cached_references

TRAIN_REFERENCE = 10_000  # training images among which neighbours are looked for, at most
RESAMPLES = 100  # of two sets of samples: enough for a standard deviation to a tenth of itself
ACCURACY_TOLERANCE, FRECHET_TOLERANCE = 0.01, 0.05  # a fast sampler may differ by so much from the full one
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Extraction:
    """How images become features: which extractors, with which weights, where, and where real ones are cached."""

    weights: dict[str, Path | None]  # by the extractor's name
    device: str
    cache: Path
    advance: Advance = lambda _: None

    def real(self, images: Tensor, name: str) -> Tensor:
        return cached_features(images, name, self.weights[name], self.device, self.cache, self.advance)

    def drawn(self, images: Tensor, name: str) -> Tensor:
        return extract(images, name, self.weights[name], self.device, advance=self.advance)


class Scorer:
    """Classifier, extractors and real images, ready to score the samples of one run."""

    def __init__(self, classifier: AttributeClassifier, parts: Split, asked: AvatarSet, extraction: Extraction) -> None:
        self.classifier, self.parts, self.asked, self.extraction = classifier, parts, asked, extraction
        self.bounds = cached_bounds(classifier, parts, extraction.device, extraction.cache)
        self.reference: Reference = reference(asked, learn_palette(parts.train))
        self.held_out = {name: extraction.real(parts.test.images, name) for name in extraction.weights}
        known = parts.train.images[:TRAIN_REFERENCE]
        self.train = {name: extraction.real(known, name) for name in extraction.weights}
        self.real_rows, self.unasked = real_side(len(parts.test), len(asked))
        self.real = moments(self.held_out[EFFICIENTNET][self.real_rows])
        self.exact = ExactJudge(asked, extraction.cache) if can_be_drawn(asked) else None

    def score(self, main: Tensor) -> dict[str, Any]:
        """The scored samples, uint8 (N, 3, H, W): paired errors, attributes, distances, memorisation, artefacts."""
        drawn = {name: self.extraction.drawn(main, name) for name in self.extraction.weights}
        asked = self.asked.subset(torch.arange(len(main)))
        return {
            "paired": measure_paired(main, asked.images),
            "exact": self.judged(main),
            "distance": {name: self.distance(features, name) for name, features in drawn.items()},
            "memorisation": {
                name: measure_memorisation(features, self.held_out[name], self.train[name])
                for name, features in drawn.items()
            },
            "judge": self.bounds,
            "attributes": measure_attributes(self.classifier.predict(main), asked, self.bounds),
            "artefacts": measure_artefacts(main, first_of(self.reference, len(main))),
        }

    def distance(self, features: Tensor, name: str) -> dict[str, Any]:
        """All distances of the features (N, D) of samples, with what they rest on."""
        real, train = self.held_out[name][self.real_rows], self.train[name] if self.unasked else None
        return extractor_label(name, self.extraction.weights[name]) | measure_distance(real, features, train)

    def judged(self, images: Tensor) -> dict[str, Any] | None:
        """What the exact judge says, beside the classifier; None where pictures are not drawn from their labels."""
        if self.exact is None:
            return None
        right = self.classifier.predict(images) == self.asked.codes[: len(images)]
        return self.exact.measure(images, right.numpy(), scorable(self.asked, self.bounds["untrained"]).numpy())

    def references(self, count: int) -> dict[str, Any]:
        """What the first true pictures score themselves, and the training images with the nearest attributes."""
        asked, train = self.asked.subset(torch.arange(count)), self.parts.train

        def measure(images: Tensor) -> dict[str, Any]:
            names = self.extraction.weights
            return {
                "paired": measure_paired(images, asked.images),
                "exact": self.judged(images),
                "accuracy": self.accuracy(images)["accuracy"],
                "distance": {name: self.distance(self.extraction.drawn(images, name), name) for name in names},
            }

        return cached_references(asked, train, measure, self.extraction.cache, self.rests_on())

    def rests_on(self) -> list[str]:
        """What the metrics rest on besides the conditions asked and the training images."""
        labels = [str(extractor_label(*each)) for each in self.extraction.weights.items()]
        real = self.parts.test.subset(self.real_rows).content_hash
        return [real, self.classifier.digest(), self.extraction.device, *labels]

    def right(self, images: Tensor) -> Tensor:
        """Whether the classifier sees what was asked, bool (N, scored attributes)."""
        return (self.classifier.predict(images) == self.asked.codes[: len(images)])[:, scored(self.asked.schema)]

    def shown(self, count: int) -> Tensor:
        return scorable(self.asked, self.bounds["untrained"])[:count, scored(self.asked.schema)]

    def brief(self, images: Tensor) -> dict[str, Any]:
        """A few samples of the first conditions: accuracy and Fréchet distance, with what they rest on."""
        return {
            "samples": len(images),
            "paired": measure_paired(images, self.asked.images[: len(images)]),
            **({} if self.exact is None else self.exact.brief(images)),
            **self.accuracy(images),
            "frechet_distance": frechet(self.real, moments(self.extraction.drawn(images, EFFICIENTNET))),
            "real": len(self.real_rows),
            **extractor_label(EFFICIENTNET, None),
        }

    def accuracy(self, images: Tensor) -> dict[str, Any]:
        """The macro accuracy of a few samples, by the classifier, with its interval."""
        right, shown = self.right(images).numpy(), self.shown(len(images)).numpy()
        return {
            "accuracy": macro_of(right, shown) if shown.any() else None,
            "accuracy_interval": macro_interval(right, shown) if shown.any() else None,
        }

    def guidance(self, by_scale: Iterable[tuple[float, Tensor]]) -> list[dict[str, Any]]:
        """The same conditions and latents at every guidance scale."""
        rows = []
        for scale, images in by_scale:
            artefacts = measure_artefacts(images, first_of(self.reference, len(images)))
            rows.append({"guidance": scale, **self.brief(images), "artefacts": artefacts})
        return rows

    def samplers(self, fast: Tensor, full: Tensor) -> dict[str, Any] | None:
        """The recipe's sampler beside the schedule's full one, from the same conditions and latents.

        None where the data leave nothing to be asked.
        """
        ours, theirs = self.brief(fast), self.brief(full)
        shown = self.shown(len(fast)).numpy()
        some = shown.any(1)  # of the others a resample may be all, and would have no accuracy
        if some.sum() < 2:
            return None
        shown, one, other = shown[some], self.right(fast).numpy()[some], self.right(full).numpy()[some]
        difference = ours["accuracy"] - theirs["accuracy"]
        difference_interval = interval.resampled(
            len(shown), lambda rows: macro_of(one[rows], shown[rows]) - macro_of(other[rows], shown[rows])
        )
        relative = ours["frechet_distance"] / theirs["frechet_distance"] - 1
        relative_interval = self.relative_interval(fast, full, relative)
        return {
            "fast": ours,
            "full": theirs,
            "accuracy_difference": difference,
            "accuracy_interval": difference_interval,
            "frechet_relative": relative,
            "frechet_interval": relative_interval,
            "agree": within((ACCURACY_TOLERANCE, difference_interval), (FRECHET_TOLERANCE, relative_interval)),
        }

    def relative_interval(self, fast: Tensor, full: Tensor, relative: float) -> list[float]:
        """95 % interval of the ratio of two Fréchet distances, less 1: the same rows are drawn of both."""
        drawn = [self.extraction.drawn(images, EFFICIENTNET) for images in (fast, full)]

        def ratio(rows: np.ndarray) -> float:
            ours, theirs = (frechet(self.real, moments(features[torch.from_numpy(rows)])) for features in drawn)
            return ours / theirs - 1

        return interval.resampled(len(fast), ratio, RESAMPLES, around=relative)


def within(*found: tuple[float, list[float]]) -> bool | None:
    """Whether every interval lies within its tolerance; False if one lies beyond, None if that cannot be said."""
    if any(low > tolerance or high < -tolerance for tolerance, (low, high) in found):
        return False
    return True if all(-tolerance <= low and high <= tolerance for tolerance, (low, high) in found) else None


def real_side(held_out: int, asked: int) -> tuple[Tensor, bool]:
    """The rows of the held-out images that stand for the real side, and whether none of their conditions is asked.

    The attributes determine these drawings: against images of the very conditions asked, a perfect generator would
    be nearer than any other real image. So the others are taken, unless they are fewer than half as many.
    """
    others = torch.arange(asked, max(held_out, asked))[:asked]
    if len(others) >= max(2, asked / 2):
        return others, True
    return torch.arange(min(held_out, asked)), False


def curve(
    briefs: dict[int, dict[str, Any]],  # by training steps: what the few samples of the model finished then scored
    log: dict[str, Any],  # of training
    budgets: dict[str, int],  # their training steps
    training_flop_per_image: float | None,
) -> list[dict[str, Any]]:
    """A point for each finished model; `seconds` are those of training alone."""
    points = []
    for point in log["points"]:
        images = point["images"]
        points.append(
            {
                "epoch": images / log["images_per_epoch"],
                "steps": point["steps"],
                "budgets": [budget for budget, steps in budgets.items() if steps == point["steps"]],
                "images": images,
                "seconds": point["seconds"],
                "training_flop": None if training_flop_per_image is None else images * training_flop_per_image,
                "validation_loss": {kind: fmean(each) for kind, each in point["validation"].items()},
                **briefs.get(point["steps"], {}),
            }
        )
    return points
