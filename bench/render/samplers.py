"""The document of `bench samplers`, as Markdown."""

from collections.abc import Iterable
from typing import Any

from bench.render.markdown import markdown

COLUMNS = (
    "steps",
    "ΔE ↓",
    "SSIM ↑",
    "all right ↑",
    "KID × 1000 ↓",
    "ΔE, less all steps'",
    "KID × 1000, less all steps'",
)
DIFFERENCE_COLUMNS = ("steps", "difference of ΔE", "… less that of all steps", "KID × 1000, less that of all steps")


def samplers_lines(document: dict[str, Any]) -> list[str]:
    """A table for each contestant, what the tolerances are, and the fewest steps that decide nothing."""
    lines = [
        f"From {document['samples']} samples of the same conditions and latents; in brackets 95 % intervals. A sampler "
        f"decides nothing where its ΔE differs from that of all steps by at most {document['colour_tolerance']:g}, and "
        f"its KID by at most {document['kernel_tolerance']:.0%} of it, both with their whole interval (✓). Between two "
        "contestants it decides nothing where their differences are as near to those of all steps. It is one seed's "
        "word. One step is the model's prediction from pure noise.",
    ]
    for name, found in document["contestants"].items():
        lines += titled(name, COLUMNS, [row_of(row) for row in found["rows"]])
    for each in document["differences"]:
        rows = [contrast_of(row) for row in each["rows"]]
        lines += titled(" less ".join(each["between"]), DIFFERENCE_COLUMNS, rows)
    return [*lines, "", *conclusions(document)]


def titled(title: str, columns: Iterable[str], rows: list[list[str]]) -> list[str]:
    return ["", f"**{title}**", "", *markdown(list(columns), rows).splitlines()]


def conclusions(document: dict[str, Any]) -> list[str]:
    """The fewest steps that decide nothing for each contestant, and between any two."""
    between = document["fewest_of_differences"]
    lines = [f"The fewest steps that decide nothing for any contestant: {document['fewest']}."]
    return lines if between is None else [*lines, f"Between two of them: {between}."]


def contrast_of(row: dict[str, Any]) -> list[str]:
    shifts = with_interval(row["colour_difference"], 1), with_interval(row["kernel_difference"], 1000)
    return [steps_of(row), with_interval(row["colour"], 1), *shifts]


def steps_of(row: dict[str, Any]) -> str:
    return str(row["steps"]) + (" ✓" if row["within"] else "")


def row_of(row: dict[str, Any]) -> list[str]:
    paired, all_right, kid = row["paired"], row.get("all_right"), row["kid"]
    return [
        steps_of(row),
        f"{paired['colour']['value']:.2f}",
        f"{paired['structure']['value']:.3f}",
        "–" if all_right is None else f"{all_right['value']:.1%}",
        "–" if kid is None else f"{1000 * kid['value']:.2f}",
        with_interval(row["colour_difference"], 1),
        with_interval(row["kernel_difference"], 1000),
    ]


def with_interval(found: list[float], unit: float) -> str:
    mean, low, high = (unit * each for each in found)
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"
