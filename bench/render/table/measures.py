"""The measures on which contestants are compared, declared on 2026-11-26, before the runs of `laptop` that are shown.

Their order is that of the table.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from bench.config import Budget
from bench.record import Record
from bench.record.quality import EFFICIENTNET, Artefacts, Distance, Estimate
from bench.render.table.asked_rows import exact, paired
from bench.render.table.budget_rows import after, key_of, other_budgets, paired_colour, point_at
from bench.render.table.comparability import alike
from bench.render.table.distance_rows import basis, snake, thousandfold
from bench.render.table.quality_rows import attributes
from bench.render.table.row import Estimated, decimals, share, within

PRIMARY = "paired_colour"  # the key of the measure that was declared to count most
Reader = Callable[[Record], float | None]


def same_distance(a: Record, b: Record) -> bool:
    """Whether the distances of two records rest on the same: extractor, weights, numbers of images and split."""
    ours, theirs = distance(a), distance(b)
    return ours is not None and theirs is not None and basis(ours) == basis(theirs) and alike("samples", a, b)


BY_CLASSIFIER = partial(alike, "classifier")  # whether what judged the samples of two records was the same
AT_EQUAL_TIME = partial(alike, "equal_time")  # whether two records were given as much time on the same machine
AT_ALL = partial(alike, "samples")


@dataclass(frozen=True)
class Measure:
    """What is compared, in which direction it is better, and what is said of who is better or worse."""

    key: str
    label: str
    read: Reader
    better: Literal["lower", "higher"]
    write: Callable[[float], str]
    good: str = ""
    bad: str = ""
    bad_below: str = ""  # instead of `bad` where the value lies below the goal
    goal: float | None = None  # what is best: then the distance to it is compared
    same: Callable[[Record, Record], bool] = AT_ALL  # whether two records may be compared on it

    def value(self, record: Record) -> float | None:
        """What is compared: the value that was measured, or its distance to the goal."""
        found = self.read(record)
        return found if found is None or self.goal is None else abs(found - self.goal)


def distance(record: Record) -> Distance | None:
    return record.measurements.distance.get(EFFICIENTNET)


def value_of(read: Callable[[Record], Estimated | None]) -> Reader:
    return within(read, lambda found: found.value)


def artefact(read: Callable[[Artefacts], Estimate | None]) -> Reader:
    return value_of(within(lambda record: record.measurements.artefacts, read))


MEASURES = [
    # What was asked for, against the true picture of every condition and by the exact judge.
    Measure(PRIMARY, "paired colour difference ΔE", value_of(within(paired, lambda p: p.colour)), "lower", decimals(2),
            "nearer to the true picture", "farther from the true picture"),
    Measure("paired_structure", "paired structure SSIM", value_of(within(paired, lambda p: p.structure)), "higher",
            decimals(3), "true structure", "untrue structure"),
    Measure("all_right", "all attributes right", value_of(within(exact, lambda e: e.all_right)), "higher", share,
            "all attributes right", "some attribute wrong"),
    Measure("exact_accuracy", "attribute accuracy, exact", value_of(within(exact, lambda e: e.macro)), "higher",
            decimals(3), "attributes as asked", "attributes not well captured"),
    # Distance to real images, and the classifier.
    Measure("kid", "KID × 1000", within(distance, lambda d: None if d.kid is None else d.kid.value), "lower",
            thousandfold, "nearer to real images by KID", "farther from real images by KID", same=same_distance),
    Measure("frechet_distance", "Fréchet distance", within(distance, lambda d: d.frechet_distance), "lower",
            decimals(1), "nearer to real images", "farther from real images", same=same_distance),
    Measure("accuracy", "attribute accuracy, classifier", within(attributes, lambda a: a.macro.accuracy), "higher",
            decimals(3), "attributes as asked by the classifier", "attributes not as asked by the classifier",
            same=BY_CLASSIFIER),
    # The blog post's words.
    Measure("stray_pixels", "background: stray pixels", artefact(lambda a: a.stray_pixels), "lower", share,
            "clean background", "noisy background"),
    Measure("colour_error", "colour: ΔE to the colour asked for", artefact(lambda a: a.colour_error), "lower",
            decimals(1), "truer colors", "color corruption"),
    Measure("edge_agreement", "shape: edge agreement", artefact(lambda a: a.edge_agreement), "higher", decimals(2),
            "more accurate shape", "less accurate shape"),
    Measure("hairstyles", "hairstyles: how far from the variety asked for",
            value_of(within(attributes, lambda a: a.hairstyle)), "lower", share, "various hairstyles",
            "stray hairstyles", "few hairstyles", goal=1, same=BY_CLASSIFIER),
    Measure("brightness", "brightness: how far from real", artefact(lambda a: a.brightness), "lower", decimals(1),
            "right brightness", "too bright", "too dark", goal=0),
    Measure("saturation", "saturation: how far from real", artefact(lambda a: a.saturation), "lower", decimals(1),
            "right saturation", "garish color", "pale color", goal=0),
]  # fmt: skip

(PRIMARY_MEASURE,) = (each for each in MEASURES if each.key == PRIMARY)


def budget_measures(records: list[Record]) -> list[Measure]:
    """The primary measure at every other budget: a family of its own, and no strength is named for it."""
    return [budget_measure(budget) for budget in other_budgets(records)]


def budget_measure(budget: Budget) -> Measure:
    read = value_of(within(partial(point_at, budget), paired_colour))
    label = f"{PRIMARY_MEASURE.label} {after(budget)}"
    return Measure(
        f"{PRIMARY}_at_{key_of(budget)}", label, read, PRIMARY_MEASURE.better, PRIMARY_MEASURE.write,
        same=AT_EQUAL_TIME if budget.kind == "seconds" else AT_ALL,
    )  # fmt: skip


def attribute_measures(records: list[Record]) -> list[Measure]:
    """Each attribute's accuracy by the exact judge: explored in a family of its own, so no strength is named for it."""
    scored = [found.per_attribute for record in records if (found := exact(record)) is not None]
    return [attribute_measure(name) for name in dict.fromkeys(name for each in scored for name in each)]


def attribute_measure(name: str) -> Measure:
    row = within(exact, lambda found: found.per_attribute.get(name))
    return Measure(f"exact_accuracy_of_{snake(name)}", name, value_of(row), "higher", decimals(3))
