"""The document of `bench bridge` as a table: how many times each change multiplies what a model costs."""

from collections.abc import Iterable
from math import isclose, prod
from typing import Any, NamedTuple

from bench.render.implementation import about_turns
from bench.render.markdown import markdown
from bench.render.table.column import short_names

PLACES = {"first": "made first", "last": "made last"}
TOGETHER = "all eight"
CHANGES = {
    "tau": "Tau: twice the tokens, five times as wide",
    "heads": "heads: 32 instead of 4 at full scale",
    "attention": "attention at every level, behind every block",
    "transformer": "transformer blocks for plain attention, self-attention in the middle",
    "blocks": "more ResNet blocks a level, a skip connection each",
    "levels": "three levels instead of four, without the widest one",
    "upsampling": "a convolution after each upsampling",
    "time": "a time embedding of twice the width",
}


class Cost(NamedTuple):
    """A kind of cost: where it stands in a comparison, and what it is called."""

    size: str  # "full", "here"; "seconds" are those of the steps that were timed, "speed" arithmetic over them
    key: str
    label: str


COSTS = (
    Cost("full", "parameters", "parameters, full size"),
    FULL := Cost("full", "training_gflop", "training GFLOP an image, full size"),
    Cost("full", "peak_mib", "predicted peak, full size"),
    TIMED := Cost("here", "training_gflop", "training GFLOP an image, as timed"),
    Cost("seconds", "step", "time of a step"),
)
SPEED = Cost("speed", "step", "arithmetic a second")


def costs_of(document: dict[str, Any]) -> list[Cost]:
    """The costs to show: arithmetic as timed is left out where it is that of the full size."""
    pairs = [document["together"], *document["others"].values(), *document.get("among_others", {}).values()]
    pairs += [pair for places in document["changes"].values() for pair in places.values()]
    alike = all(isclose(multiple(pair, FULL), multiple(pair, TIMED), rel_tol=0.01) for pair in pairs)
    return [cost for cost in COSTS if not (cost is TIMED and alike)]


def bridge_lines(document: dict[str, Any]) -> list[str]:
    """What was measured and how, then a row for each change, one for all of them, and those of other models."""
    made = document["changes"]
    costs = costs_of(document) + [SPEED] * (not made)
    return [
        beginning(document),
        "",
        *markdown(
            ["change" if made else "models", *(cost.label for cost in costs)], rows_of(document, costs)
        ).splitlines(),
        "",
        f"{about_turns(document)} In brackets: 95 % intervals, each for itself. Full size: the published one, with "
        f"Cartoon Set's condition, in batches of {document['full_batch_size']}, in fp32. Arithmetic "
        f"and peaks are accounted, not measured.{NOTE * any(same_here(places) for places in made.values())}",
    ]


def bridge_title(document: dict[str, Any]) -> str:
    """What the document is about, as a heading."""
    if not document["changes"]:
        return f"the costs of {', '.join(short_names([*document['others']]).values())}"
    every = len(document["changes"]) == len(CHANGES)
    return f"what {'each change' if every else 'some changes'} of the architecture {'costs' if every else 'cost'}"


def beginning(document: dict[str, Any]) -> str:
    together, changes = document["together"], len(document["changes"])
    ours, ends = together["before"], f"From `{together['before']}` to `{together['after']}`"
    if not changes:
        return (
            "A row has the costs of its first model, divided by those of its second. "
            f"`{together['after']}` is the library's model by hand."
        )
    few = "in eight changes" if changes == len(CHANGES) else f"{changes} of the eight changes"
    return (
        f"{ends}, which is the library's model by hand, {few}. How many "
        f"times each multiplies a cost: made first, on `{ours}` / made last, after the other seven. The model before "
        "the last change is large, so a change that adds the same amount to both multiplies the large one by less."
    )


def rows_of(document: dict[str, Any], costs: list[Cost]) -> list[list[str]]:
    together, made = document["together"], document["changes"]
    rows = [[title(change, places), *(both(places, cost) for cost in costs)] for change, places in made.items()]
    if len(made) == len(CHANGES):
        products = (" / ".join(product(made.values(), cost, place) for place in PLACES) for cost in costs)
        rows.append(["product of the eight", *products])
    ends = [TOGETHER if made else f"{together['after']} instead of {together['before']}"]
    rows.append([*ends, *(written(together, cost) for cost in costs)])
    # documents from before others were held against each other have no such pairs
    pairs = [*document["others"].items(), *document.get("among_others", {}).items()]
    short = short_names([*document["others"]])
    return rows + [
        [
            f"{short.get(name, name)} instead of {short.get(pair['before'], pair['before'])}",
            *(written(pair, cost) for cost in costs),
        ]
        for name, pair in pairs
    ]


NOTE = " *: at the timed size both models are the same, so their ratio of times shows the noise of this measurement."


def title(change: str, places: dict[str, Any]) -> str:
    return CHANGES[change] + " *" * same_here(places)


def same_here(places: dict[str, Any]) -> bool:
    """Whether a change does nothing at the size that was timed."""
    return all(comparison["changes_nothing_here"] for comparison in places.values())


def both(places: dict[str, Any], cost: Cost) -> str:
    return " / ".join(written(places[place], cost) for place in PLACES)


def product(made: Iterable[dict[str, Any]], cost: Cost, place: str) -> str:
    return times(prod(multiple(places[place], cost) for places in made))


def times(ratio: float) -> str:
    return f"× {ratio:.2f}"


def multiple(comparison: dict[str, Any], cost: Cost) -> float:
    found = amount(comparison, cost)
    return found["median"] if isinstance(found, dict) else found


def written(comparison: dict[str, Any], cost: Cost) -> str:
    """`× 1.20`, and `× 1.20 (1.10 to 1.30)` of what was timed."""
    found = amount(comparison, cost)
    between = f" ({found['low']:.2f} to {found['high']:.2f})" if isinstance(found, dict) else ""
    return times(multiple(comparison, cost)) + between


def amount(comparison: dict[str, Any], cost: Cost) -> Any:
    """How many times as much: a number, or the median of what was timed with its interval."""
    if cost is not SPEED:
        return comparison[cost.size][cost.key]
    work, seconds = comparison["here"]["training_gflop"], comparison["seconds"][cost.key]
    return {"median": work / seconds["median"], "low": work / seconds["high"], "high": work / seconds["low"]}
