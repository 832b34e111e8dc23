"""What each part adds, from the document of an experiment whose arms are all the combinations of some parts."""

from math import prod
from typing import Any

from bench.render.experiment_costs import KINDS, differ_in_cost
from bench.render.experiment_effect import arrow, difference, writer
from bench.render.markdown import markdown
from bench.render.table.numbers import chance
from bench.render.table.row import MISSING, as_difference

HOW = (
    "Every combination of the parts is an arm. Add the parts one by one, in every possible order: a part's share is "
    "the mean change when it is added (Shapley's value). So the shares of a seed sum to the whole difference, and the "
    "multiples of a cost multiply to the whole ratio. p by a t test of the shares over seeds, with Holm's correction "
    "over all parts and measures: a second family of tests, beside that of the arms. Intervals are not corrected."
)

BEYOND = (
    "Zero: the parts do not depend on each other. p by a paired t test, with Holm's correction over these measures: a "
    "family of its own."
)


def part_lines(document: dict[str, Any]) -> list[str]:
    """A row for each part, and one for all together; nothing where there are no parts, or no seed of all arms."""
    parts, measures = document["parts"], document["measures"]
    if not has_shares(document):
        return []
    header = [
        "part",
        *(title for each in measures for title in (f"{each['label']}: share (95 %)", "seeds", "p by Holm")),
    ]
    kinds = KINDS if differ_in_cost(document) else ()
    header += [f"multiplies {kind.label} by" for kind in kinds]
    rows = [[part["name"], *(cell for each in part["effects"] for cell in effect_cells(each))] for part in parts]
    sums = [total([part["effects"][number] for part in parts]) for number in range(len(measures))]
    rows.append(["all parts", *(cell for each in sums for cell in (each, "", ""))])
    for row, some in zip(rows, [*([part] for part in parts), parts], strict=True):
        row += [multiple(prod_of(some, kind.key)) for kind in kinds]
    return [*markdown(header, rows).splitlines(), "", HOW, "", *beyond_lines(document)]


def beyond_lines(document: dict[str, Any]) -> list[str]:
    """How much more all parts change together than the sum of what each changes alone."""
    if not (beyond := document.get("beyond")):  # older documents have none
        return []
    header = ["all parts together, less the sum of each alone", "difference (95 %)", "seeds", "p by Holm"]
    labels = [each["label"] + arrow(each) for each in document["measures"]]
    rows = [[label, *effect_cells(each)] for label, each in zip(labels, beyond["effects"], strict=True)]
    claimed = document["experiment"].get("together")
    told = f" Claimed: {claimed}. Verdict: {beyond['verdict']}." if claimed else ""
    return [*markdown(header, rows).splitlines(), "", f"{BEYOND}{told}", ""]


def decides_by_shares(document: dict[str, Any]) -> bool:
    """Whether the measure that decides, which the picture shows, has shares."""
    return bool(document["parts"]) and all(part["effects"][0]["differences"] for part in document["parts"])


def has_shares(document: dict[str, Any]) -> bool:
    return any(effect["differences"] for part in document["parts"] for effect in part["effects"])


def effect_cells(effect: dict[str, Any]) -> list[str]:
    """`−1.20 (−2.00 to −0.40)`, the number of seeds, and p, or dashes."""
    p = effect["p_holm"]
    seeds = len(effect["differences"])
    return [difference(effect, writer(effect["measure"])), str(seeds), MISSING if p is None else chance(p)]


def total(effects: list[dict[str, Any]]) -> str:
    """The sum of the shares, which is the whole difference."""
    found = [each["difference"] for each in effects]
    return MISSING if None in found else as_difference(writer(effects[0]["measure"]))(sum(found))


def prod_of(parts: list[dict[str, Any]], kind: str) -> float | None:
    """How many times the parts together multiply a kind of cost."""
    found = [part["costs"][kind] for part in parts]
    return None if None in found else prod(found)


def multiple(ratio: float | None) -> str:
    return MISSING if ratio is None else f"{ratio:.2f}"
