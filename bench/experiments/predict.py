"""`bench predict`: power laws of quality against compute and time, from runs of several sizes and budgets."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.config import PRESETS
from bench.data.splits import counts
from bench.errors import BadInput
from bench.quality.interval import CONFIDENCE
from bench.quality.power_law import FEWEST, PowerLaw, crossing, fitted, frontier
from bench.record import CurvePoint, Record
from bench.render.table.column import place
from bench.render.table.cost_rows import training_seconds

SCHEMA_VERSION = 1
RESAMPLES = 1000
SAME = 1.02  # times as many images: budgets may end that near to each other, and count once
Cost = Callable[[Record, CurvePoint], float | None]
COSTS: dict[str, Cost] = {
    "compute": lambda record, point: None if point.training_flop is None else point.training_flop / 1e15,  # PFLOP
    "time": training_seconds,
}
Cell = tuple[float, int]  # the scale of a model, and the images that it has seen


@dataclass(frozen=True)
class Measured:
    """The finished models of one contestant: by size and budget, what each seed took and its ΔE."""

    name: str
    cells: dict[Cell, dict[int, tuple[float, float]]]

    @property
    def seeds(self) -> set[int]:
        return {seed for found in self.cells.values() for seed in found}

    def means(self, seeds: Iterable[int]) -> tuple[list[Cell], np.ndarray, np.ndarray]:
        """Mean cost and mean ΔE of every cell over these seeds, of which one may come more than once."""
        found = [(cell, [there[seed] for seed in seeds if seed in there]) for cell, there in self.cells.items()]
        rows = [(cell, *np.mean(each, axis=0)) for cell, each in found if each]
        return [row[0] for row in rows], np.array([row[1] for row in rows]), np.array([row[2] for row in rows])

    def law(self, seeds: Iterable[int]) -> PowerLaw | None:
        """The law through the frontier of the means."""
        _, x, y = self.means(seeds)
        kept = frontier(x, y)
        return fitted(x[kept], y[kept])


def measured(records: Iterable[Record], cost: Cost) -> list[Measured]:
    """Every contestant's finished models, in the order of the records."""
    found: dict[str, dict[Cell, dict[int, tuple[float, float]]]] = {}
    for record in records:
        for point in apart(record.measurements.curve or []):
            if point.paired is not None and (x := cost(record, point)) is not None:
                cell = (record.run.sizes.scale, point.images)
                there = found.setdefault(record.run.contestant, {}).setdefault(cell, {})
                there[record.run.seed] = (x, point.paired.colour.value)
    return [Measured(name, cells) for name, cells in found.items()]


def apart(curve: list[CurvePoint]) -> list[CurvePoint]:
    """The finished models of a run, without those that have seen almost as many images as the one before."""
    kept: list[CurvePoint] = []
    for point in sorted(curve, key=lambda each: each.images):
        if point.steps is not None and not (kept and point.images < SAME * kept[-1].images):
            kept.append(point)
    return kept


def predict(records: list[Record]) -> dict[str, Any]:
    """The laws of each contestant, where each two of them cross, and what they say of the published sizes.

    Intervals are from resampled seeds. BadInput where a contestant has too few models for a law.
    """
    done = sorted((record for record in records if record.status == "done"), key=place)
    refuse_mixed(done)
    return {
        "schema_version": SCHEMA_VERSION,
        "confidence": CONFIDENCE,
        "laws": {name: laws_by(done, cost) for name, cost in COSTS.items()},
        "published": published(done),
    }


def refuse_mixed(records: list[Record]) -> None:
    """BadInput for runs of other images, whose ΔE cannot be compared, or that differ in more than size and budgets."""
    if len({(record.run.data_hash, record.run.sizes.image_size) for record in records}) > 1:
        raise BadInput("these runs are of different images, whose ΔE cannot be compared: name runs of one data set")
    seen: dict[tuple[str, float], Record] = {}
    for record in records:
        first = seen.setdefault((record.run.contestant, record.run.sizes.scale), record)
        told = [f"{each.run.recipe.name} at {each.run.sizes.learning_rate:g}" for each in (first, record)]
        if told[0] != told[1]:
            raise BadInput(f"{record.run.contestant} is there by {' and by '.join(told)}: name runs of one of the two")


def laws_by(records: list[Record], cost: Cost) -> dict[str, Any]:
    """By one cost: every contestant's points and law, and the crossings."""
    found = measured(records, cost)
    laws = {each.name: with_resamples(each) for each in found}
    pairs = itertools.combinations(laws, 2)
    return {
        "contestants": {each.name: about(each, *laws[each.name]) for each in found},
        "crossings": [{"between": [a, b]} | crossing_of(laws[a], laws[b]) for a, b in pairs],
    }


def with_resamples(found: Measured) -> tuple[PowerLaw, list[PowerLaw]]:
    """The law of all seeds, and those of resampled ones, if there are two; equal seeds are drawn equally for all."""
    law = found.law(sorted(found.seeds))
    if law is None:
        why = f"{found.name} has too few finished models for a law: it takes {FEWEST}"
        raise BadInput(f"{why}, each better than all that cost less: name runs of more sizes or budgets")
    seeds, draw = sorted(found.seeds), np.random.default_rng(0)
    if len(seeds) < 2:
        return law, []
    drawn = [found.law(draw.choice(seeds, len(seeds)).tolist()) for _ in range(RESAMPLES)]
    return law, [each for each in drawn if each is not None]


def about(found: Measured, law: PowerLaw, resampled: list[PowerLaw]) -> dict[str, Any]:
    cells, x, y = found.means(sorted(found.seeds))
    kept = frontier(x, y)
    return {
        "height": law.height,
        "exponent": law.exponent,
        "exponent_interval": interval([each.exponent for each in resampled]),
        "resampled": [[each.height, each.exponent] for each in resampled[:100]],  # for the band of a picture
        "points": [
            {"scale": scale, "images": images, "cost": float(x[i]), "colour": float(y[i]), "on_frontier": i in kept,
             "seeds": sorted(found.cells[scale, images])}
            for i, (scale, images) in enumerate(cells)
        ],
    }  # fmt: skip


def crossing_of(one: tuple[PowerLaw, list[PowerLaw]], other: tuple[PowerLaw, list[PowerLaw]]) -> dict[str, Any]:
    """log10 of the cost at which both are equally good, and who is better beyond it in which share of the resamples."""
    (first, ours), (second, theirs) = one, other
    places = [crossing(a, b) for a, b in zip(ours, theirs, strict=False)]
    steeper = [a.exponent > b.exponent for a, b in zip(ours, theirs, strict=False)]
    return {
        "log10_cost": crossing(first, second),
        "interval": interval([each for each in places if np.isfinite(each)]),
        "first_is_better_beyond": first.exponent > second.exponent,
        "share": share([each == (first.exponent > second.exponent) for each in steeper]),
    }


def published(records: list[Record]) -> dict[str, Any]:
    """What the laws of compute say of the published models after preset `full`: far beyond what was measured."""
    full = PRESETS["full"]
    images = counts(full.images).train * full.epochs
    found, guesses = measured(records, COSTS["compute"]), {}
    for each in found:
        flop = next((f for r in records if r.run.contestant == each.name and (f := full_flop(r)) is not None), None)
        if flop is None:
            continue
        pflop, (law, resampled) = flop * images / 1e15, with_resamples(each)
        guesses[each.name] = {
            "pflop": pflop,
            "beyond": pflop / float(max(each.means(each.seeds)[1])),
            "colour": law.at(pflop),
            "resampled": [other.at(pflop) for other in resampled],
        }
    order = sorted(guesses, key=lambda name: guesses[name]["colour"])
    rounds = list(zip(*(guesses[name]["resampled"] for name in order), strict=False))
    return {
        "images": images,
        "models": {name: {key: value for key, value in guesses[name].items() if key != "resampled"}
                   | {"interval": interval(guesses[name]["resampled"])} for name in order},
        "order": order,
        "share": share([list(each) == sorted(each) for each in rounds]),
    }  # fmt: skip


def full_flop(record: Record) -> float | None:
    """FLOP of training the published size with one image."""
    cost = record.measurements.full_cost
    return None if cost is None or cost.flops_per_image is None else cost.flops_per_image.training


def share(true: list[bool]) -> float | None:
    return sum(true) / len(true) if true else None


def interval(values: list[float]) -> list[float] | None:
    """The percentiles that bound the middle of resampled values."""
    if not values:
        return None
    low, high = np.percentile(values, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    return [float(low), float(high)]
