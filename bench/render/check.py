"""The document of `bench check`: a line for each duty, the costs beside `scratch`, and what to do next."""

from typing import Any

from rich.table import Table

from bench.config import PRESETS
from bench.render.anatomy import MISSING, figures

Entry = dict[str, Any]


def check_lines(document: dict[str, Any]) -> list[str]:
    """Every contestant's duties, a line each."""
    size = f"{document['image_size']}×{document['image_size']}, scale {document['scale']:g}"
    lines = []
    for entry in document["contestants"]:
        lines += [f"{entry['name']} at {size}", *map(duty_line, entry["duties"]), verdict(entry), ""]
    return lines


def duty_line(found: Entry) -> str:
    shown = MISSING if found["status"] == "unchecked" else found["status"]
    return f"  {shown:8} {found['label']}" + (f": {found['sentence']}" if found["sentence"] else "")


def verdict(entry: Entry) -> str:
    """How many duties are broken, and how many warnings there are."""
    warnings = sum(found["status"] == "warning" for found in entry["duties"])
    told = f"; warnings: {warnings}" if warnings else ""
    return (f"broken: {entry['broken']}" if entry["broken"] else "nothing is broken") + told


def cost_table(document: dict[str, Any]) -> Table:
    """One column a contestant, `scratch` first."""
    costs = document["costs"]
    table = Table("a training step", *(entry["name"] for entry in costs), highlight=False)
    table.add_row("parameters", *(written(entry["parameters"], "{:,}") for entry in costs))
    peak = f"predicted peak memory, batch {document['batch_size']}, MiB"
    table.add_row(peak, *(written(entry["predicted_peak_mib"], "{:,.1f}") for entry in costs))
    for what in ("forward", "training"):
        table.add_row(f"GFLOP per image, {what}", *(gflop(entry["gflop_per_image"], what) for entry in costs))
    return table


def written(value: float | None, form: str) -> str:
    return MISSING if value is None else form.format(value)


def gflop(counts: dict[str, float] | None, what: str) -> str:
    return MISSING if counts is None else figures(counts[what])


def last_line(document: dict[str, Any]) -> str:
    """How to compare what is not broken with `scratch`."""
    sound = [entry["name"] for entry in document["contestants"] if not entry["broken"]]
    names = dict.fromkeys(["scratch", *(sound or (entry["name"] for entry in document["contestants"]))])
    when = "To train and compare" if sound else "As soon as nothing is broken"
    return f"{when}: python -m bench run{asked(document)} --contestants {','.join(names)}"


def asked(document: dict[str, Any]) -> str:
    """The options that make a run as large as what was checked."""
    size = document["image_size"], document["scale"]
    for name in ("laptop", "full"):
        if (PRESETS[name].image_size, PRESETS[name].scale) == size:
            return f" --preset {name}"
    return f" --preset laptop --image-size {size[0]} --scale {size[1]:g}"
