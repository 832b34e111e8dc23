"""The document of `bench implementation` as a table: each model by hand beside the library's."""

from collections.abc import Iterable
from typing import Any

MIB, GIB = 2**20, 2**30
LABELS = {
    "step": "training step",
    "forward": "… its forward pass",
    "backward": "… its backward pass",
    "prediction": "prediction without gradients",
}


def implementation_lines(document: dict[str, Any]) -> list[str]:
    """What was measured and how, then a table for each pair."""
    about = f"{about_turns(document)} In brackets the ratio to the library's model, with its 95 % interval."
    return [about, *(line for twin, pair in document["pairs"].items() for line in ["", *pair_lines(twin, pair)])]


def about_turns(document: dict[str, Any]) -> str:
    """Where, at which size and how often models were timed by turns."""
    made_on = document["environment"]
    precision = document.get("mixed_precision", "no")  # documents from before it could be chosen have none
    half = f"{precision}, " * (precision != "no")
    return (
        f"{made_on['device']}, {made_on['threads']} threads, torch {made_on['versions']['torch']}; preset "
        f"{document['preset']}: {document['image_size']}×{document['image_size']}, scale {document['scale']:g}, batch "
        f"{document['batch_size']}, {half}{document['memory_format']}. Medians of {document['rounds']} rounds of "
        f"{document['steps_per_round']} steps of each in turn. Load of others before, per core: "
        f"{load(document['load_average'])}."
    )


def load(per_core: float | None) -> str:
    return "unknown" if per_core is None else f"{per_core:.2f}"


def pair_lines(twin: str, pair: dict[str, Any]) -> list[str]:
    """Rows of seconds, memory and operations; the library's model first."""
    versions = pair["versions"]
    titles = [name.replace("library", pair["library"]).replace("twin", twin) for name in versions]
    measured = {name: version["peak_bytes"] for name, version in versions.items()}
    full = f"at full size, batch {pair['full_batch_size']}"
    rows = [
        *([label, *(timed(versions[name], part, name) for name in versions)] for part, label in LABELS.items()),
        ["measured peak of a step, MiB", *amounts(measured, versions, MIB, ",.0f")],
        ["operations of a step", *(f"{version['operations']:,}" for version in versions.values())],
        [f"predicted peak {full}, GiB", *amounts(pair["full_peak_bytes"], versions, GIB, ",.1f")],
        [
            f"parameters {full.split(',')[0]}",
            *map(counted, map(pair["full_parameters"].get, versions)),
        ],
    ]
    head = ["", *titles]
    return [line(head), line([":---"] * len(head)), *(line(row) for row in rows)]


def counted(parameters: int | None) -> str:
    return "–" if parameters is None else f"{parameters:,}"


def timed(version: dict[str, Any], part: str, name: str) -> str:
    ratio, milliseconds = version["ratios"][part], f"{1000 * version['seconds'][part]:,.0f} ms"
    if name == "library":
        return milliseconds
    return f"{milliseconds} ({ratio['median']:.2f}; {ratio['low']:.2f} to {ratio['high']:.2f})"


def amounts(found: dict[str, int | None], names: Iterable[str], unit: int, form: str) -> list[str]:
    """Bytes in a unit, with the ratio to the library's; a dash where there are none."""
    theirs, cells = found.get("library"), []
    for name in names:
        ours = found.get(name)
        ratio = f" ({ours / theirs:.2f})" if ours and theirs and name != "library" else ""
        cells.append("–" if ours is None else f"{ours / unit:{form}}{ratio}")
    return cells


def line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
