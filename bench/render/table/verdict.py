"""Strength and weakness in words: where a contestant differs from all others beyond the uncertainty."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from scipy.stats import t

from bench.record import Record
from bench.record.quality import EFFICIENTNET, Accuracy, Artefacts, AttributeAccuracy, Estimate
from bench.render.table.column import Column
from bench.render.table.comparability import alike
from bench.render.table.row import Estimated, Row, Section, decimals, share, within

NAMED = 6  # verdicts in a cell, the clearest first
Z = 1.96  # of a 95 % interval
FALSE_ALARM = 0.05  # the chance that equals get any verdict at all
GUESS = 0.25  # share of the way from chance to no mistake below which a classifier hardly does more than guess
AT_CHANCE, OTHERS_AT_CHANCE, ALONE, EQUAL, ONE_SEED = (
    "not said: its samples are no better than chance",
    "not said: the others' samples are no better than chance",
    "nothing to compare with",
    "none in image quality beyond the uncertainty",
    "(one seed: over samples only)",
)


class Reading(NamedTuple):
    """A value that was measured, and its interval."""

    value: float
    interval: list[float] | None


@dataclass(frozen=True)
class Measure:
    """A measure on which contestants are compared; what is nearer to zero, lower or higher is better."""

    good: str
    bad: Callable[[float], str]
    read: Callable[[Record], Estimated | None]
    score: Callable[[float], float]  # higher is better
    write: Callable[[float], str]


@dataclass(frozen=True)
class Score:
    """A column's value on a measure, and the variance of that value over samples and seeds."""

    value: float
    variance: float
    freedom: float  # degrees of freedom of the variance: few where it is the spread of a few seeds


def lower(value: float) -> float:
    return -value


def higher(value: float) -> float:
    return value


def nearer(value: float) -> float:
    return -abs(value)


def nearer_one(value: float) -> float:
    return -abs(value - 1)


def artefact(read: Callable[[Artefacts], Estimate | None]) -> Callable[[Record], Estimated | None]:
    return within(lambda record: record.measurements.artefacts, read)


def measures(records: list[Record]) -> list[Measure]:
    """The blog post's words, each with its measure; then the attributes that the classifier can tell."""
    return [
        Measure("clean background", lambda _: "noisy background", artefact(lambda a: a.stray_pixels), lower, share),
        Measure("true colors", lambda _: "color corruption", artefact(lambda a: a.colour_error), lower, decimals(1)),
        Measure("accurate shape", lambda _: "inaccurate shape", artefact(lambda a: a.edge_agreement), higher,
                decimals(2)),
        Measure("various hairstyles", lambda v: "few hairstyles" if v < 1 else "stray hairstyles",
                within(lambda record: record.measurements.attributes, lambda a: a.hairstyle), nearer_one, share),
        Measure("right brightness", lambda v: "too bright" if v > 0 else "too dark", artefact(lambda a: a.brightness),
                nearer, decimals(1)),
        Measure("right saturation", lambda v: "garish color" if v > 0 else "pale color",
                artefact(lambda a: a.saturation), nearer, decimals(1)),
        Measure("near to real images", lambda _: "far from real images", frechet, lower, decimals(1)),
        *(attribute_measure(name) for name in attribute_names(records)),
    ]  # fmt: skip


def frechet(record: Record) -> Reading | None:
    found = record.measurements.distance.get(EFFICIENTNET)
    return None if found is None else Reading(found.frechet_distance, found.interval)


def attribute_rows(records: list[Record]) -> list[tuple[str, AttributeAccuracy]]:
    """Every attribute's accuracy in every record, under the attribute's name."""
    scored = [found for record in records if (found := record.measurements.attributes) is not None]
    return [pair for each in scored for pair in each.per_attribute.items()]


def attribute_names(records: list[Record]) -> list[str]:
    rows = attribute_rows(records)
    guessed = {name for name, row in rows if is_guess(row)}
    return list(dict.fromkeys(name for name, _ in rows if name not in guessed))


def is_guess(row: Accuracy) -> bool:
    """Whether the classifier reads an attribute off real images hardly better than a guess would."""
    ceiling, chance = row.ceiling, row.chance
    return ceiling is not None and chance is not None and ceiling - chance < GUESS * (1 - chance)


def is_at_chance(column: Column) -> bool:
    """Whether the samples show no more of what was asked than a guess would, within the uncertainty."""
    rows = [found.macro for record in column.records if (found := record.measurements.attributes) is not None]
    above = [row.interval[0] - row.chance for row in rows if row.interval is not None and row.chance is not None]
    return bool(above) and statistics.fmean(above) <= 0


def attribute_measure(name: str) -> Measure:
    def read(record: Record) -> Reading | None:
        scored = record.measurements.attributes
        row = None if scored is None else scored.per_attribute.get(name)
        return None if row is None or row.accuracy is None else Reading(row.accuracy, row.interval)

    return Measure(f"{name} as asked", lambda _: f"{name} not well captured", read, higher, decimals(2))


def score(measure: Measure, column: Column) -> Score | None:
    """Mean over seeds; its variance is that over samples or that between seeds, whichever is larger."""
    records = [record for record in column.records if alike("classifier", record, column.lead)]
    found = [each for record in records if (each := measure.read(record)) is not None]
    intervals = [each.interval for each in found if each.interval is not None]
    if not found or len(intervals) < len(found):
        return None
    values = [each.value for each in found]
    sampling = statistics.fmean(((high - low) / (2 * Z)) ** 2 for low, high in intervals)
    between = statistics.variance(values) if len(values) > 1 else 0.0
    freedom = len(values) - 1 if between > sampling else float("inf")
    return Score(statistics.fmean(values), max(sampling, between) / len(values), freedom)


def clearness(measure: Measure, ours: Score, theirs: Score, measures_asked: int) -> float:
    """Above 1 where ours is better beyond the uncertainty, below −1 where it is worse.

    Welch's t over its critical value, two-sided and divided among the measures that are asked (Bonferroni).
    """
    difference = measure.score(ours.value) - measure.score(theirs.value)
    variance = ours.variance + theirs.variance
    if difference == 0 or variance == 0:
        return float("inf") * difference if difference else 0.0
    freedom = variance**2 / max(ours.variance**2 / ours.freedom + theirs.variance**2 / theirs.freedom, 1e-300)
    return difference / variance**0.5 / float(t.isf(FALSE_ALARM / measures_asked / 2, min(freedom, 1e6)))


def verdict(column: Column, columns: list[Column], better: bool) -> str:
    """The measures at which a column beats, or is beaten by, every other one beyond the interval, with the numbers."""
    alikes = [each for each in columns if each is not column and alike("classifier", each.lead, column.lead)]
    rivals = [other for other in alikes if not is_at_chance(other)]
    if not alikes or not rivals or is_at_chance(column):
        return ALONE if not alikes else AT_CHANCE if is_at_chance(column) else OTHERS_AT_CHANCE
    found, asked = [], measures([record for each in columns for record in each.records])
    for measure in asked:
        ours, theirs = score(measure, column), [score(measure, rival) for rival in rivals]
        if ours is None or not all(theirs):
            continue
        sign = 1 if better else -1
        nearest, clear = min(
            ((s, sign * clearness(measure, ours, s, len(asked))) for s in theirs if s), key=lambda pair: pair[1]
        )
        if clear > 1:
            words = measure.good if better else measure.bad(ours.value)
            found.append((clear, f"{words} ({measure.write(ours.value)} against {measure.write(nearest.value)})"))
    words = ", ".join(text for _, text in sorted(found, reverse=True)[:NAMED]) or EQUAL
    alone = any(len(each.records) == 1 for each in (column, *rivals))
    return f"{words} {ONE_SEED}" if alone and found else words


def verdict_rows(columns: list[Column]) -> list[Row]:
    """The blog post's rows `strength` and `weakness`."""
    done = [column for column in columns if any(record.status == "done" for record in column.records)]
    words = {
        (id(record), better): verdict(column, done, better)
        for column in done
        for record in column.records
        for better in (True, False)
    }
    return [
        Row(Section.POST, "strength", "strength", lambda record: words.get((id(record), True))),
        Row(Section.POST, "weakness", "weakness", lambda record: words.get((id(record), False))),
    ]
