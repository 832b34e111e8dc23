"""`bench predict`: power laws of quality against compute and time, from runs of several sizes and budgets."""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.config import PRESETS
from bench.data.splits import counts
from bench.experiments.finished_models import COSTS, Cost, Models, measured, refuse_mixed, shared_seeds
from bench.quality.interval import CONFIDENCE, RESAMPLES
from bench.quality.power_law import FEWEST, PowerLaw, better, crossing, frontier
from bench.quality.significance import FEWEST_SEEDS
from bench.record import Record
from bench.render.table.column import place
from bench.render.table.comparability import machine_name
from bench.render.table.cost_rows import training_seconds

SCHEMA_VERSION = 1
FEWEST_SCALES = 3  # of each contestant, before anything is said of the published size


@dataclass(frozen=True)
class Laws:
    """A contestant's law by one kind of cost, and those of resampled seeds, in the same order for all contestants."""

    models: Models
    whole: PowerLaw | None
    resampled: list[PowerLaw | None]


def predict(records: list[Record]) -> dict[str, Any]:
    """The laws of each contestant, where each two of them cross, and what they say of the published sizes.

    Intervals are over seeds alone, and there are none with fewer than six. BadInput for runs that are no comparison.
    """
    done = sorted((record for record in records if record.status == "done"), key=place)
    refuse_mixed(done)
    seeds = shared_seeds(done)
    draw = np.random.default_rng(0)
    draws = [draw.choice(seeds, len(seeds)).tolist() for _ in range(RESAMPLES if len(seeds) >= FEWEST_SEEDS else 0)]
    found = {unit: laws_of(done, cost, seeds, draws) for unit, cost in COSTS.items()}
    return {
        "schema_version": SCHEMA_VERSION,
        "confidence": CONFIDENCE,
        "seeds": seeds,
        "laws": {unit: about(laws, seeds) for unit, laws in found.items()},
        "untimed": different_machines(done),
        "training_codes": sorted({record.environment.training_code or "not recorded" for record in done}),
        "published": published(done, found["PFLOP"], seeds),
    }


def different_machines(records: list[Record]) -> list[str]:
    """The machines that the times are of, if they are not all of one."""
    machines = sorted({machine_name(record.timed[0]) for record in records})
    return machines if len(machines) > 1 else []


def laws_of(records: list[Record], cost: Cost, seeds: list[int], draws: list[list[int]]) -> list[Laws]:
    if cost is training_seconds and different_machines(records):
        return []
    return [Laws(each, each.law(seeds), [each.law(draw) for draw in draws]) for each in measured(records, cost, seeds)]


def about(laws: list[Laws], seeds: list[int]) -> dict[str, Any]:
    """By one kind of cost: every contestant's models and law, and the crossings of those that have one."""
    pairs = itertools.combinations([each for each in laws if each.whole is not None], 2)
    return {
        "contestants": {each.models.name: law_fields(each, seeds) for each in laws},
        "crossings": [crossing_of(one, other, seeds) for one, other in pairs],
    }


def law_fields(laws: Laws, seeds: list[int]) -> dict[str, Any]:
    x, y = laws.models.means(seeds)
    kept, drawn = frontier(x, y), [each for each in laws.resampled if each is not None]
    points = [
        {"scale": scale, "images": images, "cost": float(x[i]), "colour": float(y[i]), "on_frontier": i in kept}
        for i, (scale, images) in enumerate(laws.models.cells)
    ]
    return {
        "height": laws.whole and laws.whole.height,
        "exponent": laws.whole and laws.whole.exponent,
        "exponent_interval": middle([each.exponent for each in drawn]),
        "points": points,
        "needed": FEWEST,
        "band": band(x, drawn),
    }


def band(x: np.ndarray, drawn: list[PowerLaw]) -> list[list[float]]:
    """Costs, and the ΔE between which the resampled laws lie there; none where there are no resamples."""
    if not drawn:
        return []
    costs = np.geomspace(min(x), max(x), 20)
    return [[float(cost), *(middle([law.at(cost) for law in drawn]) or [])] for cost in costs]


def crossing_of(one: Laws, other: Laws, seeds: list[int]) -> dict[str, Any]:
    """Where both are equally good, and who is better beyond that; who is better in all that was measured, if one is.

    The place has an interval only if all resamples agree on who is better beyond it.
    """
    assert one.whole is not None
    assert other.whole is not None
    drawn = [(a, b) for a, b in zip(one.resampled, other.resampled, strict=True) if a is not None and b is not None]
    costs = np.concatenate([each.models.means(seeds)[0] for each in (one, other)])
    ends = [float(min(costs)), float(max(costs))]
    first_beyond = one.whole.exponent > other.whole.exponent
    agree = [(a.exponent > b.exponent) == first_beyond for a, b in drawn]
    at_ends = {better(one.whole, other.whole, cost) for cost in ends}
    log10, places = crossing(one.whole, other.whole), [crossing(a, b) for a, b in drawn]
    return {
        "between": [one.models.name, other.models.name],
        "log10_cost": log10 if np.isfinite(log10) else None,
        "interval": middle(places) if all(agree) and np.isfinite(places).all() else None,
        "better_beyond": (one if first_beyond else other).models.name,
        "share": sum(agree) / len(agree) if agree else None,
        "measured": ends,
        "better_throughout": {-1: one.models.name, 1: other.models.name}.get(at_ends.pop() if len(at_ends) == 1 else 0),
    }


def published(records: list[Record], laws: list[Laws], seeds: list[int]) -> dict[str, Any] | None:
    """The order that the laws of compute say for the published models after preset `full`; None for too few runs."""
    full = PRESETS["full"]
    images = counts(full.images).train * full.epochs
    flop = {record.run.contestant: full_flop(record) for record in records}
    asked = [(each, flop[each.models.name]) for each in laws if each.whole is not None]
    scales = [len({scale for scale, _ in each.models.cells}) for each, _ in asked]
    if len(asked) < 2 or min(scales) < FEWEST_SCALES or len(seeds) < FEWEST_SEEDS or any(f is None for _, f in asked):
        return None
    pflop = {each.models.name: (each, (of or 0.0) * images / 1e15) for each, of in asked}
    said = {name: each.whole.at(cost) for name, (each, cost) in pflop.items() if each.whole is not None}
    order = sorted(said, key=lambda name: said[name])
    rounds = zip(*([law and law.at(pflop[name][1]) for law in pflop[name][0].resampled] for name in order), strict=True)
    kept = [[*each] == sorted(value for value in each if value is not None) for each in rounds if None not in each]
    most = max(float(max(each.models.means(seeds)[0])) for each, _ in pflop.values())
    return {
        "images": images,
        "image_size": full.image_size,
        "order": order,
        "share": sum(kept) / len(kept) if kept else None,
        "pflop": {name: cost for name, (_, cost) in pflop.items()},
        "beyond": {name: cost / most for name, (_, cost) in pflop.items()},
    }


def full_flop(record: Record) -> float | None:
    """FLOP of training the published size with one image."""
    cost = record.measurements.full_cost
    return None if cost is None or cost.flops_per_image is None else cost.flops_per_image.training


def middle(values: list[float]) -> list[float] | None:
    """The percentiles between which the middle of resampled values lies."""
    if not values:
        return None
    tail = (1 - CONFIDENCE) / 2
    return [float(edge) for edge in np.quantile(values, [tail, 1 - tail])]
