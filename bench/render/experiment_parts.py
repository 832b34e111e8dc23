"""What each part adds, from the document of an experiment whose arms are all the combinations of some parts."""

from collections.abc import Callable
from math import prod
from typing import Any

from bench.render.experiment_costs import COSTS, PARAMETERS
from bench.render.markdown import markdown
from bench.render.table.measures import MEASURES
from bench.render.table.numbers import chance
from bench.render.table.row import MISSING, decimals

KINDS = (PARAMETERS, *COSTS)


def part_lines(document: dict[str, Any]) -> list[str]:
    """A row for each part, and one for all of them together; nothing where there are none, or no seed of all arms."""
    parts, measures = document["parts"], document["measures"]
    if not parts or not seeds(document):
        return []
    header = ["part", *(title for each in measures for title in (f"{each['label']}: share (95 %)", "p by Holm"))]
    header += [f"{kind.label}: times" for kind in KINDS]
    rows = [
        [part["name"], *(cell for effect in part["effects"] for cell in effect_cells(effect)), *multiples([part])]
        for part in parts
    ]
    sums = [total([part["effects"][number] for part in parts]) for number in range(len(measures))]
    rows.append(["all parts", *(cell for sum_ in sums for cell in (sum_, "")), *multiples(parts)])
    return [
        *markdown(header, rows).splitlines(),
        "",
        "Every combination of the parts is an arm. A part's share is what it adds when it comes, on average over all "
        "orders in which the parts can come (Shapley's value): the shares of a seed sum to the whole difference, and "
        f"the multiples of a cost make the whole ratio. Over the {seeds(document)} seeds that all arms have; p by a "
        "paired t test, with Holm's correction over all parts and measures.",
        "",
    ]


def seeds(document: dict[str, Any]) -> int:
    return len(document["parts"][0]["effects"][0]["differences"])


def effect_cells(effect: dict[str, Any]) -> list[str]:
    """`−1.20 (−2.00 to −0.40)` and p, or dashes."""
    write, p = writer(effect["measure"]), effect["p_holm"]
    return [difference(effect, write), MISSING if p is None else chance(p)]


def difference(effect: dict[str, Any] | None, write: Callable[[float], str]) -> str:
    """`−1.20 (−2.00 to −0.40)`, or a dash."""
    if effect is None or effect["difference"] is None:
        return MISSING
    interval = effect["interval"]
    between = f" ({write(interval[0])} to {write(interval[1])})" if interval else ""
    return write(effect["difference"]) + between


def writer(key: str) -> Callable[[float], str]:
    """How a measure is written."""
    return next((each.write for each in MEASURES if each.key == key), decimals(3))


def total(effects: list[dict[str, Any]]) -> str:
    found = [each["difference"] for each in effects]
    return MISSING if None in found else writer(effects[0]["measure"])(sum(found))


def multiples(parts: list[dict[str, Any]]) -> list[str]:
    """How many times the parts together multiply each kind of cost."""
    found = [[part["costs"][kind.key] for part in parts] for kind in KINDS]
    return [MISSING if None in each else f"× {prod(each):.2f}" for each in found]
