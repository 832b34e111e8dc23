"""Strength and weakness in words: where a contestant is better, or worse, than all others beyond chance."""

import statistics

from bench.quality.significance import FEWEST_SEEDS
from bench.render.table.column import Column
from bench.render.table.comparability import alike
from bench.render.table.differences import Differences, Effect, common_seeds, done
from bench.render.table.measures import MEASURES, Measure
from bench.render.table.row import Row, Section

NAMED = 6  # measures in a cell, in their order
AT_CHANCE, OTHERS_AT_CHANCE, ALONE, EQUAL, TOO_FEW = (
    "not said: its samples are no better than chance",
    "not said: the others' samples are no better than chance",
    "nothing to compare with",
    "none in image quality beyond the uncertainty",
    "too few seeds to say",
)


def is_at_chance(column: Column) -> bool:
    """Whether the samples show no more of what was asked than a guess would, within the uncertainty."""
    rows = [found.macro for record in column.records if (found := record.measurements.attributes) is not None]
    above = [row.interval[0] - row.chance for row in rows if row.interval is not None and row.chance is not None]
    return bool(above) and statistics.fmean(above) <= 0


def verdict(column: Column, columns: list[Column], found: Differences, better: bool) -> str:
    """The measures at which a column beats, or is beaten by, every other one that can be tested, with the numbers."""
    others = [each for each in columns if each is not column and alike("samples", each.lead, column.lead)]
    if not others:
        return ALONE
    common = [len(list(common_seeds(column, other))) for other in others]
    if max(common) < FEWEST_SEEDS:
        return f"{TOO_FEW} ({max(common)} in common, {FEWEST_SEEDS} needed)"
    tested = [other for other, count in zip(others, common, strict=True) if count >= FEWEST_SEEDS]
    rivals = [other for other in tested if not is_at_chance(other)]
    if is_at_chance(column) or not rivals:
        return AT_CHANCE if is_at_chance(column) else OTHERS_AT_CHANCE
    words = [text for measure in MEASURES if (text := said_of(measure, column, rivals, found, better))]
    more = f" and {len(words) - NAMED} more" if len(words) > NAMED else ""
    return ", ".join(words[:NAMED]) + more or EQUAL


def said_of(measure: Measure, column: Column, rivals: list[Column], found: Differences, better: bool) -> str | None:
    """`clean background (0.0 % against 0.6 %)`, against the nearest rival; None where not all tests say so."""
    effects = [found.between(column, rival, measure) for rival in rivals]
    told = [each for each in effects if each is not None and is_told(each, column, better)]
    if len(told) < len(rivals):
        return None
    nearest = min(told, key=lambda each: abs(each.found.mean))
    (rival,) = (each for each in nearest.pair if each is not column)
    ours, theirs = (measure.write(nearest.mean_of(each)) for each in (column, rival))
    return f"{measure.good if better else bad(measure, column)} ({ours} against {theirs})"


def is_told(effect: Effect, column: Column, better: bool) -> bool:
    """Whether the test says that the column is better than the other one, or worse."""
    return effect.winner is not None and (effect.winner is column) == better


def bad(measure: Measure, column: Column) -> str:
    """What is said of who is worse: on which side of the goal its mean lies, if there is one."""
    values = [value for record in column.records if (value := measure.read(record)) is not None]
    below = measure.goal is not None and statistics.fmean(values) < measure.goal
    return measure.bad_below if below else measure.bad


def verdict_rows(columns: list[Column], found: Differences) -> list[Row]:
    """The blog post's rows `strength` and `weakness`."""
    words = {
        (id(record), better): verdict(column, done(columns), found, better)
        for column in done(columns)
        for record in column.records
        for better in (True, False)
    }
    return [
        Row(Section.POST, "strength", "strength", lambda record: words.get((id(record), True))),
        Row(Section.POST, "weakness", "weakness", lambda record: words.get((id(record), False))),
    ]
