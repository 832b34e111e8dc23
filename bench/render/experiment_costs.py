"""What the models of an experiment's arms cost, each beside the reference's, from the experiment's document."""

from collections.abc import Callable
from statistics import fmean, geometric_mean
from typing import Any, NamedTuple

from bench.render.markdown import markdown
from bench.render.table.row import MISSING, mib


class CostKind(NamedTuple):
    """A kind of cost: its name in a document, and how it is shown."""

    key: str
    label: str
    write: Callable[[float], str]


COSTS = (
    CostKind("flop_per_image", "training arithmetic of an image", lambda value: f"{value / 1e9:.3g} GFLOP"),
    CostKind("peak_bytes", "peak memory of a step, predicted", mib),
    CostKind("seconds_per_image", "training time of an image", lambda value: f"{1000 * value:.1f} ms"),
)
PARAMETERS = CostKind("parameters", "parameters", lambda value: f"{value:,.0f}")
KINDS = (PARAMETERS, *COSTS)


def cost_lines(document: dict[str, Any]) -> list[str]:
    """A table of what each arm's model costs, where the arms differ in that."""
    if not differ_in_cost(document):
        return []
    first = reference_of(document)
    rows = [[arm["name"], *(cost_cell(arm, first, kind) for kind in KINDS)] for arm in document["arms"]]
    return [
        *markdown(["arm", *(kind.label for kind in KINDS)], rows).splitlines(),
        "",
        "In brackets: how many times the reference's. Times are those of the training runs, whatever ran beside them.",
        "",
    ]


def differ_in_cost(document: dict[str, Any]) -> bool:
    """Whether the models are not all of one kind."""
    found = {(arm["costs"]["parameters"], arm["costs"]["flop_per_image"]) for arm in document["arms"]}
    return len(found - {(None, None)}) > 1


def reference_of(document: dict[str, Any]) -> dict[str, Any]:
    return next(arm for arm in document["arms"] if arm["is_reference"])


def cost_cell(arm: dict[str, Any], first: dict[str, Any], kind: CostKind) -> str:
    value, times = cost_of(arm, kind), ratio(arm, first, kind)
    return MISSING if value is None else kind.write(value) + (f" (× {times:.2f})" if times and arm is not first else "")


def cost_of(arm: dict[str, Any], kind: CostKind) -> float | None:
    """A cost; the mean over seeds, where it was measured of each."""
    found = arm["costs"][kind.key]
    return (fmean(found.values()) if found else None) if isinstance(found, dict) else found


def ratio(arm: dict[str, Any], first: dict[str, Any], kind: CostKind) -> float | None:
    """How many times the reference's; of what was measured by seed, the geometric mean over pairs of one machine."""
    ours, theirs = arm["costs"][kind.key], first["costs"][kind.key]
    if isinstance(ours, dict):
        here, there = arm["costs"]["machines"], first["costs"]["machines"]
        shared = [seed for seed in ours if seed in theirs and here[seed] == there[seed]]
        found = [ours[seed] / theirs[seed] for seed in shared]
        return geometric_mean(found) if found else None
    return ours / theirs if ours and theirs else None


def ratios(document: dict[str, Any], arms: list[dict[str, Any]]) -> dict[str, list[float | None]]:
    """Each kind of cost as multiples of the reference's; none where all models are of one kind."""
    if not differ_in_cost(document):
        return {}
    first = reference_of(document)
    return {kind.label.partition(",")[0]: [ratio(arm, first, kind) for arm in arms] for kind in COSTS}
