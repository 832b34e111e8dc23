"""What the records of an experiment say: an effect for every arm and measure, and a verdict on what was claimed."""

import shlex
from statistics import fmean
from typing import Any

from bench.data.avataaars import schema
from bench.errors import known
from bench.experiments.costs import costs_of
from bench.experiments.differences import adjust, effect
from bench.experiments.experiment import Arm, Cell, Experiment
from bench.experiments.parts import beyond_sum, parts_of
from bench.quality.significance import SIGNIFICANT
from bench.record import Record
from bench.render.experiment import SCHEMA_VERSION
from bench.render.table.comparability import same_classifier, same_machine
from bench.render.table.distance_rows import basis
from bench.render.table.measures import (
    AT_EQUAL_TIME,
    BY_CLASSIFIER,
    MEASURES,
    Measure,
    attribute_measure,
    budget_measure,
    distance,
    same_distance,
)

SUPPORTED, REFUTED, UNDECIDED = "supported", "refuted", "undecided"


def measures_of(experiment: Experiment) -> list[Measure]:
    """The measures that an experiment declares; BadInput for a key that there is not."""
    of_attributes = [attribute_measure(attribute.name) for attribute in schema().attributes]
    of_budgets = [
        budget_measure(budget) for budget in experiment.sizes_of(experiment.arms[experiment.reference]).budgets[1:]
    ]
    there = {each.key: each for each in [*MEASURES, *of_attributes, *of_budgets]}
    return [there[known(key, list(there), f"measure of experiment '{experiment.name}'")] for key in experiment.measures]


def document_of(
    experiment: Experiment,
    records: list[Record],
    refused: dict[Cell, str],
    estimated: dict[str, dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The answer so far, as JSON holds it. `refused`: why a cell could not begin; `estimated`: the time of each arm."""
    fitting = {name: by_seed(experiment, arm, records) for name, arm in experiment.arms.items()}
    tests = tests_of(experiment, fitting)
    arms = {
        name: about(experiment, name, fitting[name], refused)
        | {"values": {each.key: values_of(each, fitting[name]) for each in measures_of(experiment)}}
        | {"costs": costs_of(fitting[name]), "time": time_of(fitting[name], (estimated or {}).get(name))}
        | {"unpaired": unpaired(measures_of(experiment), fitting[name], fitting[experiment.reference])}
        | {"effects": [each for each in tests if each["arm"] == name]}
        for name in experiment.arms
    }
    for name, arm in experiment.arms.items():
        arms[name]["verdict"] = verdict(experiment, arm.expected, arms[name]["effects"])
    together = beyond_sum(experiment, arms)
    beyond = {"effects": together, "verdict": verdict(experiment, experiment.together, together)}
    verdicts = [each["verdict"] for each in (*arms.values(), beyond) if each["verdict"] is not None]
    return {
        "schema_version": SCHEMA_VERSION,
        "experiment": experiment.model_dump(mode="json"),
        "measures": [measure_fields(each) for each in measures_of(experiment)],
        "comparisons": len(tests),
        "arms": list(arms.values()),
        "parts": parts_of(experiment, arms),
        "beyond": beyond,
        "verdict": of_all(verdicts),
        "left_out": left_out(experiment, records),
        "training_codes": named(fitting, "training_code"),
        "scoring_codes": named(fitting, "scoring_code"),
        "versions": unlike_versions(fitting),
        "data": sorted({record.run.data_hash[:12] for record in all_of(fitting)}),
        "instruction_sets": named(fitting, "instruction_set"),
        "command": f"python -m bench run --experiment {shlex.quote(experiment.given)}",
    }


def tests_of(experiment: Experiment, fitting: dict[str, dict[int, Record]]) -> list[dict[str, Any]]:
    """Every arm against the reference by every measure, with Holm's correction over all of them."""
    tests = [
        test(measure, fitting[name], fitting[experiment.reference]) | {"arm": name}
        for name in experiment.arms
        if name != experiment.reference
        for measure in measures_of(experiment)
    ]
    adjust(tests)
    return tests


def by_seed(experiment: Experiment, arm: Arm, records: list[Record]) -> dict[int, Record]:
    """An arm's records of the seeds that were declared, if they are of what the file asks for."""
    named = [r for r in records if experiment.is_of(arm, r.run) and r.run.seed in experiment.seeds]
    return {record.run.seed: record for record in named if not experiment.unlike(arm, record.run)}


def time_of(there: dict[int, Record], estimated: dict[str, Any] | None) -> dict[str, Any]:
    """Seconds of a run of an arm: the mean of those that are done, or else as estimated; and on which machines."""
    done = {seed: seconds for seed, record in there.items() if (seconds := seconds_of(record)) is not None}
    if not done:
        return estimated or {"seconds": None, "measured": False, "on": []}
    machines = sorted({there[seed].environment.instruction_set for seed in done}, key=str)
    return {"seconds": fmean(done.values()), "measured": True, "on": machines}


def named(fitting: dict[str, dict[int, Record]], field: str) -> list[str]:
    """What a field of the runs' environments says: the digests of the code that trained them, or their machines."""
    return sorted({getattr(record.environment, field) or "not recorded" for record in all_of(fitting)})


def unlike_versions(fitting: dict[str, dict[int, Record]]) -> list[str]:
    """`torch 2.14.1 and 2.15.0` for every package of which the runs had more than one version."""
    found: dict[str, set[str]] = {}
    for name, version in (pair for record in all_of(fitting) for pair in record.environment.versions.items()):
        found.setdefault(name, set()).add(version)
    return [f"{name} {' and '.join(sorted(there))}" for name, there in found.items() if len(there) > 1]


def all_of(fitting: dict[str, dict[int, Record]]) -> list[Record]:
    return [record for there in fitting.values() for record in there.values()]


def left_out(experiment: Experiment, records: list[Record]) -> list[str]:
    """Records that have the name of a run here and another configuration: `name (samples: 7, not 2048)`."""
    return [
        f"{record.run.name} ({'; '.join(unlike).replace(' -> ', ', not ')})"
        for arm in experiment.arms.values()
        for record in records
        if experiment.is_of(arm, record.run) and (unlike := experiment.unlike(arm, record.run))
    ]


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
        "samples": next((there[seed].images.samples for seed in sorted(there) if there[seed].images.samples), None),
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
        if seed in theirs and not unlike(measure, ours[seed], theirs[seed]) and value is not None
        and (other := value_of(measure, theirs[seed])) is not None
    }  # fmt: skip
    return effect(measure.key, {str(seed): a - b for seed, (a, b) in sorted(pairs.items())})


def values_of(measure: Measure, there: dict[int, Record]) -> dict[str, float]:
    """An arm's values by seed."""
    found = {str(seed): value_of(measure, record) for seed, record in sorted(there.items())}
    return {seed: value for seed, value in found.items() if value is not None}


def value_of(measure: Measure, record: Record) -> float | None:
    return measure.value(record) if record.status == "done" else None


def unlike(measure: Measure, a: Record, b: Record) -> list[str]:
    """What keeps two runs from being a pair: other data or precision, or that another judge scored this measure."""
    found = [
        name for name in ("data_hash", "mixed_precision", "processes") if getattr(a.run, name) != getattr(b.run, name)
    ]
    if measure.same is BY_CLASSIFIER and not same_classifier(a, b):
        found.append("classifier")
    if measure.same is AT_EQUAL_TIME and not same_machine(a.timed[0], b.timed[0]):
        found.append("machine")
    (ours, theirs) = (distance(a), distance(b)) if measure.same is same_distance else (None, None)
    if ours is not None and theirs is not None and basis(ours) != basis(theirs):
        found.append("what the distance rests on")
    return found


def unpaired(measures: list[Measure], ours: dict[int, Record], theirs: dict[int, Record]) -> list[dict[str, Any]]:
    """By which measures two arms have seeds done that are no pair all the same, which seeds, and why."""
    both = [seed for seed in sorted(ours) if seed in theirs and {ours[seed].status, theirs[seed].status} == {"done"}]
    found = [(each.label, {seed: unlike(each, ours[seed], theirs[seed]) for seed in both}) for each in measures]
    return [
        {
            "measure": label,
            "seeds": [seed for seed in both if why[seed]],
            "why": sorted({w for s in both for w in why[s]}),
        }
        for label, why in found
        if any(why.values())
    ]


def verdict(experiment: Experiment, expected: str | None, effects: list[dict[str, Any]]) -> str | None:
    """What the first measure says of what is claimed of an arm; None where nothing is, or of the reference.

    `better` and `worse` are supported by a significant difference whose interval lies beyond the margin, and refuted by
    a significant one the other way, or by an interval without an effect as large as the margin. `alike` is supported by
    an interval within the margin, refuted by one outside of it. Nothing is decided of an arm before every seed is a
    pair with the reference's: who looks often finds something, and those that fail may be the worst.
    """
    if expected is None or not effects:
        return None
    found, margin = effects[0], experiment.margin or 0.0
    if found["p_holm"] is None or len(found["differences"]) < len(experiment.seeds):
        return UNDECIDED
    low, high = found["interval"]
    if expected == "alike":
        inside, outside = -margin <= low and high <= margin, low > margin or high < -margin
        return SUPPORTED if inside else REFUTED if outside else UNDECIDED
    if (measures_of(experiment)[0].better == "lower") == (expected == "better"):  # the claim is of a fall
        low, high = -high, -low
    significant = found["p_holm"] <= SIGNIFICANT
    if significant and low > margin:
        return SUPPORTED
    return REFUTED if (significant and high < 0) or high < margin > 0 else UNDECIDED


def of_all(verdicts: list[str]) -> str:
    """One refuted part refutes a claim; it is supported if every part is."""
    if REFUTED in verdicts:
        return REFUTED
    return SUPPORTED if verdicts and {*verdicts} == {SUPPORTED} else UNDECIDED


def seconds_of(record: Record) -> float | None:
    """Of training and sampling; of sampling alone, where the run took the model of one that is trained alike."""
    training, sampling = record.measurements.training, record.measurements.sampling
    if record.status != "done" or training is None or sampling is None:
        return None
    whole = training.points[-1].seconds if training.points else sum(training.seconds_per_epoch)
    return (0.0 if training.taken_from else whole) + sampling.seconds
