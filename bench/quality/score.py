"""Everything that is scored of a run: a pure function of its samples, the data, the judge and the extractors."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from bench.data.dataset import AvatarSet, Split
from bench.quality import interval
from bench.quality.artefacts import Reference, first, measure_artefacts, reference
from bench.quality.attributes import judge_bounds, macro_interval, macro_of, measure_attributes, scored
from bench.quality.classifier import AttributeClassifier
from bench.quality.distance import frechet, measure_distance, moments
from bench.quality.features import EFFICIENTNET, cached_features, extract, extractor_label
from bench.quality.memorisation import measure_memorisation
from bench.quality.palette import learn_palette

TRAIN_REFERENCE = 10_000  # training images among which neighbours are looked for, at most
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
    """Judge, extractors and real images, ready to score the samples of one run."""

    def __init__(self, judge: AttributeClassifier, parts: Split, asked: AvatarSet, extraction: Extraction) -> None:
        self.judge, self.parts, self.asked, self.extraction = judge, parts, asked, extraction
        self.bounds = judge_bounds(judge, parts)
        self.reference: Reference = reference(asked, learn_palette(parts.train))
        self.held_out = {name: extraction.real(parts.held_out.images, name) for name in extraction.weights}
        known = parts.train.images[:TRAIN_REFERENCE]
        self.train = {name: extraction.real(known, name) for name in extraction.weights}
        self.real = moments(self.held_out[EFFICIENTNET][: len(asked)])

    def score(self, main: Tensor) -> dict[str, Any]:
        """The scored samples, uint8 (N, 3, H, W): distances, memorisation, attributes and artefacts."""
        distances, memorisation = {}, {}
        for name, weights in self.extraction.weights.items():
            held_out, train, drawn = self.held_out[name], self.train[name], self.extraction.drawn(main, name)
            distances[name] = extractor_label(name, weights) | measure_distance(held_out[: len(main)], drawn, train)
            memorisation[name] = measure_memorisation(drawn, held_out, train)
        return {
            "distance": distances,
            "memorisation": memorisation,
            "judge": self.bounds,
            "attributes": measure_attributes(self.judge.predict(main), self.asked, self.bounds),
            "artefacts": measure_artefacts(main, self.reference),
        }

    def right(self, images: Tensor) -> Tensor:
        """Whether the judge sees what was asked, bool (N, scored attributes)."""
        return (self.judge.predict(images) == self.asked.codes[: len(images)])[:, scored(self.asked.schema)]

    def shown(self, count: int) -> Tensor:
        return self.asked.shown[:count, scored(self.asked.schema)]

    def brief(self, images: Tensor) -> dict[str, Any]:
        """A few samples of the first conditions: accuracy and Fréchet distance, with how many there were."""
        right, shown = self.right(images).numpy(), self.shown(len(images)).numpy()
        drawn = moments(self.extraction.drawn(images, EFFICIENTNET))
        return {
            "samples": len(images),
            "accuracy": macro_of(right, shown),
            "accuracy_interval": macro_interval(right, shown),
            "frechet_distance": frechet(self.real, drawn),
            "real": len(self.asked),
        }

    def guidance(self, by_scale: Iterable[tuple[float, Tensor]]) -> list[dict[str, Any]]:
        """The same conditions and latents at every guidance scale."""
        rows = []
        for scale, images in by_scale:
            artefacts = measure_artefacts(images, first(self.reference, len(images)))
            rows.append({"guidance": scale, **self.brief(images), "artefacts": artefacts})
        return rows

    def samplers(self, fast: Tensor, full: Tensor) -> dict[str, Any]:
        """The recipe's sampler beside the schedule's full one, from the same conditions and latents."""
        ours, theirs = self.brief(fast), self.brief(full)
        right, shown = (self.right(fast).numpy(), self.right(full).numpy()), self.shown(len(fast)).numpy()
        difference = ours["accuracy"] - theirs["accuracy"]
        relative = ours["frechet_distance"] / theirs["frechet_distance"] - 1
        return {
            "fast": ours,
            "full": theirs,
            "accuracy_difference": difference,
            "accuracy_interval": interval.resampled(
                len(fast), lambda rows: macro_of(right[0][rows], shown[rows]) - macro_of(right[1][rows], shown[rows])
            ),
            "frechet_relative": relative,
            "agree": abs(difference) <= ACCURACY_TOLERANCE and abs(relative) <= FRECHET_TOLERANCE,
        }
