"""The document of `bench samplers`, as Markdown."""

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


def samplers_lines(document: dict[str, Any]) -> list[str]:
    """A table for each contestant, what the tolerances are, and the fewest steps that decide nothing."""
    lines = [
        f"From {document['samples']} samples of the same conditions and latents; in brackets 95 % intervals. A sampler "
        f"decides nothing where its ΔE differs from that of all steps by at most {document['colour_tolerance']:g}, and "
        f"its KID by at most {document['kernel_tolerance']:.0%} of it, both with their whole interval. One step is the "
        "model's prediction from pure noise.",
    ]
    for name, found in document["contestants"].items():
        lines += ["", f"**{name}**", "", markdown(list(COLUMNS), [row_of(row) for row in found["rows"]])]
    return [*lines, "", f"The fewest steps that decide nothing for any of them: {document['fewest']}."]


def row_of(row: dict[str, Any]) -> list[str]:
    paired, all_right, kid = row["paired"], row.get("all_right"), row["kid"]
    return [
        str(row["steps"]) + (" ✓" if row["within"] else ""),
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
