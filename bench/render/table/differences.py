"""How much two contestants differ, paired by seed: an effect for every measure and pair of columns."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from bench.quality.significance import (
    FEWEST_SEEDS,
    SIGNIFICANT,
    PairedDifference,
    holm,
    paired_difference,
    sign_flip_test,
)
from bench.record import Record
from bench.render.table.column import Column
from bench.render.table.comparability import alike
from bench.render.table.measures import MEASURES, PRIMARY, Measure, attribute_measures, budget_measures

Pair = tuple[Column, Column]


@dataclass(frozen=True, eq=False)
class Effect:
    """A measure's values of two contestants with the same seeds."""

    measure: Measure
    pair: Pair
    seeds: list[int]
    ours: np.ndarray  # a value a seed
    theirs: np.ndarray
    p_holm: float = float("nan")  # adjusted within the family of its table; NaN with too few seeds

    @cached_property
    def found(self) -> PairedDifference:
        """The first one's value minus the second's."""
        return paired_difference(self.ours - self.theirs)

    @property
    def is_tested(self) -> bool:
        return len(self.seeds) >= FEWEST_SEEDS

    @property
    def p(self) -> float:
        return float(self.found.p) if self.is_tested else float("nan")

    @property
    def p_sign_flip(self) -> float:
        return sign_flip_test(self.ours - self.theirs) if self.is_tested else float("nan")

    @property
    def first_better(self) -> tuple[float, float, float]:
        """The share of seeds at which the first one is better, with its interval; a tie counts half."""
        above = tuple(map(float, (self.found.share_above, self.found.share_low, self.found.share_high)))
        share, low, high = above if self.measure.better == "higher" else (1 - above[0], 1 - above[2], 1 - above[1])
        return share, low, high

    @property
    def winner(self) -> Column | None:
        """Who is better, if that is significant after Holm's correction."""
        if not self.p_holm <= SIGNIFICANT:
            return None
        first_wins = (self.found.mean > 0) == (self.measure.better == "higher")
        return self.pair[0 if first_wins else 1]

    def mean_of(self, column: Column) -> float:
        return float((self.ours if column is self.pair[0] else self.theirs).mean())


@dataclass(frozen=True)
class Differences:
    """All effects of a table: of the declared measures, which may name a strength, at other budgets, of attributes."""

    declared: list[Effect]
    budgets: list[Effect]
    attributes: list[Effect]

    def between(self, a: Column, b: Column, measure: Measure) -> Effect | None:
        """The effect of a declared measure, whichever of the two stands first."""
        wanted = {id(a), id(b)}
        found = (e for e in self.declared if e.measure is measure and {id(c) for c in e.pair} == wanted)
        return next(found, None)

    def to_json(self) -> list[dict[str, Any]]:
        families = {"declared": self.declared, "budgets": self.budgets, "attributes": self.attributes}
        return [{"family": family} | as_json(effect) for family, effects in families.items() for effect in effects]


def differences(columns: list[Column]) -> Differences:
    """The effects of all columns that compare; Holm's correction for each of the three families."""
    records = [record for column in columns for record in column.records]
    pairs = [(a, b) for a, b in combinations(done(columns), 2) if alike("samples", a.lead, b.lead)]
    return Differences(
        *(family(pairs, each) for each in (MEASURES, budget_measures(records), attribute_measures(records)))
    )


def done(columns: list[Column]) -> list[Column]:
    return [column for column in columns if column.lead.status == "done"]


def family(pairs: list[Pair], measures: list[Measure]) -> list[Effect]:
    """The effects of every pair at every measure, corrected for all of them together."""
    effects = [found for pair in pairs for measure in measures if (found := effect(measure, pair)) is not None]
    adjusted = holm(np.array([each.p for each in effects]))
    return [replace(each, p_holm=float(p)) for each, p in zip(effects, adjusted, strict=True)]


def effect(measure: Measure, pair: Pair) -> Effect | None:
    """The values of the seeds that both have; None where there are none."""
    alikes = [(a, b) for a, b in common_seeds(*pair) if measure.same(a, b)]
    read = [(a.run.seed, measure.value(a), measure.value(b)) for a, b in alikes]
    known = [(seed, ours, theirs) for seed, ours, theirs in read if ours is not None and theirs is not None]
    if not known:
        return None
    seeds, ours, theirs = zip(*known, strict=True)
    return Effect(measure, pair, list(seeds), np.array(ours), np.array(theirs))


def common_seeds(a: Column, b: Column) -> Iterator[tuple[Record, Record]]:
    """The finished records of two columns with the same seed."""
    theirs = {record.run.seed: record for record in b.records if record.status == "done"}
    for record in a.records:
        other = theirs.get(record.run.seed)
        if record.status == "done" and other is not None and alike("samples", record, other):
            yield record, other


def as_json(effect: Effect) -> dict[str, Any]:
    """An effect as a document; None where there are too few seeds."""
    share, low, high = effect.first_better
    first, second = effect.pair
    return {
        "measure": effect.measure.key,
        "label": effect.measure.label,
        "primary": effect.measure.key == PRIMARY,
        "better": effect.measure.better,
        "first": first.title,
        "second": second.title,
        "seeds": effect.seeds,
        "values": [effect.mean_of(first), effect.mean_of(second)],
        "difference": float(effect.found.mean),
        "interval": None if len(effect.seeds) < 2 else [float(effect.found.low), float(effect.found.high)],
        "p": tested(effect.p),
        "p_holm": tested(effect.p_holm),
        "p_sign_flip": tested(effect.p_sign_flip),
        "first_better": share,
        "first_better_interval": [low, high],
        "significant": effect.winner is not None,  # at 5 % for its family
    }


def tested(p: float) -> float | None:
    return None if np.isnan(p) else p
