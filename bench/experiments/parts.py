"""What each part adds, where the arms of an experiment are all the combinations of some parts."""

import math
from collections.abc import Mapping
from statistics import fmean
from typing import Any

from bench.experiments.differences import adjust, effect
from bench.experiments.experiment import Experiment
from bench.render.experiment_costs import KINDS

Parts = frozenset[str]


def shares(values: Mapping[Parts, float]) -> dict[str, float]:
    """What each part changes when it is added, as the mean over all orders in which the parts can be added.

    `values` has every combination. The shares sum to the value of all parts less that of none (L. S. Shapley, 1953).
    """
    parts = frozenset[str]().union(*values)
    found = dict.fromkeys(sorted(parts), 0.0)
    for before, value in values.items():
        for part in parts - before:
            after = len(parts) - len(before) - 1
            orders = math.factorial(len(before)) * math.factorial(after)  # in which just these come before it
            found[part] += orders / math.factorial(len(parts)) * (values[before | {part}] - value)
    return found


def parts_of(experiment: Experiment, arms: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each part its share of every measure, by seeds that all arms have, and how many times it multiplies costs."""
    if not experiment.parts:
        return []
    named = {frozenset(arm.parts): arms[name] for name, arm in experiment.arms.items()}
    by_measure = {measure: shares_by_seed(named, measure) for measure in experiment.measures}
    costs = {kind.key: multiples(named, kind.key) for kind in KINDS}
    found: list[dict[str, Any]] = [
        {
            "name": part,
            "costs": {kind: None if each is None else each[part] for kind, each in costs.items()},
            "effects": [
                effect(measure, {seed: each[part] for seed, each in seeds.items()})
                for measure, seeds in by_measure.items()
            ],
        }
        for part in experiment.parts
    ]
    adjust([each for part in found for each in part["effects"]])
    return found


def beyond_sum(experiment: Experiment, arms: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """What all parts change together less what each changes alone, by measure: of two parts, their interaction."""
    if not experiment.parts:
        return []
    named = {frozenset(arm.parts): arms[name] for name, arm in experiment.arms.items()}
    found = []
    for measure in experiment.measures:
        by_parts = differences_of(named, measure)
        whole = by_parts[frozenset(experiment.parts)]
        alone = [by_parts[frozenset({part})] for part in experiment.parts]
        seeds = in_all(by_parts)
        found.append(effect(measure, {seed: whole[seed] - sum(each[seed] for each in alone) for seed in seeds}))
    adjust(found)
    return found


def shares_by_seed(arms: Mapping[Parts, dict[str, Any]], measure: str) -> dict[str, dict[str, float]]:
    """The shares of every seed for which each arm has a difference from the reference."""
    found = differences_of(arms, measure)
    return {seed: shares({frozenset(): 0.0, **{p: d[seed] for p, d in found.items()}}) for seed in in_all(found)}


def differences_of(arms: Mapping[Parts, dict[str, Any]], measure: str) -> dict[Parts, dict[str, float]]:
    """The differences by seed of each arm from the reference."""
    return {
        parts: each["differences"]
        for parts, arm in arms.items()
        for each in arm["effects"]
        if each["measure"] == measure
    }


def in_all(found: dict[Parts, dict[str, float]]) -> list[str]:
    """The seeds that all arms have."""
    return sorted(set.intersection(*(set(there) for there in found.values())), key=int)


def multiples(arms: Mapping[Parts, dict[str, Any]], kind: str) -> dict[str, float] | None:
    """How many times each part multiplies a cost; the multiples of all parts make the whole ratio.

    Of what was measured by seed, the geometric mean over the seeds that one machine did of all arms.
    """
    costs = {parts: arm["costs"] for parts, arm in arms.items()}
    if isinstance(next(iter(costs.values()))[kind], dict):
        seeds = [
            seed for seed in costs[frozenset()][kind] if len({c["machines"].get(seed) for c in costs.values()}) == 1
        ]
        whole = [seed for seed in seeds if all(seed in each[kind] for each in costs.values())]
        found = [shares({parts: math.log(each[kind][seed]) for parts, each in costs.items()}) for seed in whole]
    else:
        known = all(each[kind] for each in costs.values())
        found = [shares({parts: math.log(each[kind]) for parts, each in costs.items()})] if known else []
    return {part: math.exp(fmean(each[part] for each in found)) for part in found[0]} if found else None
