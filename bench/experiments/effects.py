"""What the records of an experiment say: an effect for every arm and measure, and a verdict on what was claimed."""

import shlex
from collections.abc import Iterable
from typing import Any

import numpy as np

from bench.errors import known
from bench.experiments.experiment import Arm, Cell, Experiment
from bench.quality.significance import FEWEST_SEEDS, SIGNIFICANT, holm, paired_difference
from bench.record import Record
from bench.render.table.measures import MEASURES, Measure, attribute_measures

SCHEMA_VERSION = 1
SUPPORTED, REFUTED, UNDECIDED = "supported", "refuted", "undecided"
ATTRIBUTE = "exact_accuracy_of_"  # begins the key of an attribute's measure, which is known once something was scored


def measures_of(experiment: Experiment, records: Iterable[Record] = ()) -> list[Measure]:
    """The measures that an experiment declares; BadInput for a key that there is not."""
    there = {each.key: each for each in [*MEASURES, *attribute_measures(list(records))]}
    keys = [key for key in experiment.measures if key in there or not key.startswith(ATTRIBUTE)]
    return [there[known(key, list(there), f"measure of experiment '{experiment.name}'")] for key in keys]


def document_of(
    experiment: Experiment, records: list[Record], refused: dict[Cell, str], estimated: float | None = None
) -> dict[str, Any]:
    """The answer so far, as JSON holds it. `refused`: why a cell could not begin; `estimated`: seconds of a run."""
    by_arm = {name: by_seed(experiment, arm, records) for name, arm in experiment.arms.items()}
    tests = [
        test(measure, by_arm[name], by_arm[experiment.reference]) | {"arm": name}
        for name in experiment.arms
        if name != experiment.reference
        for measure in measures_of(experiment, records)
    ]
    adjusted = holm(np.array([nan(each["p"]) for each in tests]))
    for each, p in zip(tests, adjusted, strict=True):
        each["p_holm"] = None if np.isnan(p) else float(p)
    arms = [
        about(experiment, name, by_arm[name], refused)
        | {"values": {each.key: values_of(each, by_arm[name]) for each in measures_of(experiment, records)}}
        | {"effects": [each for each in tests if each["arm"] == name]}
        | {"verdict": verdict(experiment, arm, [each for each in tests if each["arm"] == name])}
        for name, arm in experiment.arms.items()
    ]
    times = [seconds for record in records if (seconds := seconds_of(record)) is not None]
    return {
        "schema_version": SCHEMA_VERSION,
        "experiment": experiment.model_dump(mode="json"),
        "measures": [measure_fields(each) for each in measures_of(experiment, records)],
        "comparisons": sum(each["p"] is not None for each in tests),
        "arms": arms,
        "verdict": together([arm["verdict"] for arm in arms if arm["verdict"] is not None]),
        "seconds_per_run": sum(times) / len(times) if times else estimated,  # of training and sampling
        "seconds_are_measured": bool(times),
        "command": f"python -m bench run --experiment {shlex.quote(experiment.name)}",
    }


def by_seed(experiment: Experiment, arm: Arm, records: list[Record]) -> dict[int, Record]:
    """An arm's records of the seeds that were declared."""
    return {r.run.seed: r for r in records if experiment.is_of(arm, r.run) and r.run.seed in experiment.seeds}


def about(experiment: Experiment, name: str, there: dict[int, Record], refused: dict[Cell, str]) -> dict[str, Any]:
    """What an arm is, and how far it has come: failed cells with their reason, and those that are missing."""
    arm = experiment.arms[name]
    failed = {cell.seed: why for cell, why in refused.items() if cell.arm == name}
    failed |= {seed: record.error or "" for seed, record in there.items() if record.status == "failed"}
    return {
        "name": name,
        "contestant": arm.contestant_name,
        "recipe": arm.recipe_name,
        "sizes": arm.sizes,
        "expected": arm.expected,
        "is_reference": name == experiment.reference,
        "done": sorted(set(there) - set(failed)),
        "failed": {str(seed): why for seed, why in sorted(failed.items())},
        "missing": [seed for seed in experiment.seeds if seed not in there and seed not in failed],
    }


def measure_fields(measure: Measure) -> dict[str, Any]:
    return {"key": measure.key, "label": measure.label, "better": measure.better}


def test(measure: Measure, ours: dict[int, Record], theirs: dict[int, Record]) -> dict[str, Any]:
    """An arm against the reference by one measure, paired by seed; p only where there are enough seeds for a test."""
    values = {seed: value_of(measure, record) for seed, record in ours.items()}
    pairs = {
        seed: (value, other)
        for seed, value in values.items()
        if seed in theirs and ours[seed].run.data_hash == theirs[seed].run.data_hash and value is not None
        and (other := value_of(measure, theirs[seed])) is not None
    }  # fmt: skip
    found = paired_difference(np.array([a - b for a, b in pairs.values()])) if pairs else None
    return {
        "measure": measure.key,
        "differences": {str(seed): a - b for seed, (a, b) in sorted(pairs.items())},
        "difference": None if found is None else float(found.mean),
        "interval": None if found is None or len(pairs) < 2 else [float(found.low), float(found.high)],
        "p": None if found is None or len(pairs) < FEWEST_SEEDS else float(found.p),
        "p_holm": None,
    }


def values_of(measure: Measure, there: dict[int, Record]) -> dict[str, float]:
    """An arm's values by seed."""
    found = {str(seed): value_of(measure, record) for seed, record in sorted(there.items())}
    return {seed: value for seed, value in found.items() if value is not None}


def value_of(measure: Measure, record: Record) -> float | None:
    return measure.value(record) if record.status == "done" else None


def verdict(experiment: Experiment, arm: Arm, effects: list[dict[str, Any]]) -> str | None:
    """What the first measure says of what is claimed of an arm; None where nothing is.

    `better` and `worse` are supported or refuted by a significant difference, and refuted by an interval without an
    effect as large as the margin. `alike` is supported by an interval within the margin, refuted by one outside of it.
    """
    if arm.expected is None:
        return None
    first = next((each for each in effects if each["measure"] == experiment.measures[0]), None)
    if first is None or first["p_holm"] is None:
        return UNDECIDED
    low, high = first["interval"]
    margin = experiment.margin or 0.0
    if arm.expected == "alike":
        inside, outside = -margin <= low and high <= margin, low > margin or high < -margin
        return SUPPORTED if inside else REFUTED if outside else UNDECIDED
    lower_wins = measures_of(experiment, ())[0].better == "lower" if not is_attribute(experiment) else False
    wins_below = lower_wins == (arm.expected == "better")  # the claim is of a difference below 0
    if first["p_holm"] <= SIGNIFICANT:
        return SUPPORTED if (first["difference"] < 0) == wins_below else REFUTED
    too_small = low > -margin if wins_below else high < margin
    return REFUTED if margin and too_small else UNDECIDED


def is_attribute(experiment: Experiment) -> bool:
    """Whether an attribute's accuracy decides: of these, the higher one is better."""
    return experiment.measures[0].startswith(ATTRIBUTE)


def together(verdicts: list[str]) -> str:
    """One refuted part refutes a claim; it is supported if every part is."""
    if REFUTED in verdicts:
        return REFUTED
    return SUPPORTED if verdicts and {*verdicts} == {SUPPORTED} else UNDECIDED


def seconds_of(record: Record) -> float | None:
    found = record.measurements
    if record.status != "done" or found.training is None or found.sampling is None:
        return None
    return sum(found.training.seconds_per_epoch) + found.sampling.seconds


def nan(value: float | None) -> float:
    return float("nan") if value is None else value
