"""The document of `bench predict`: tables and a picture."""

import json
from pathlib import Path
from typing import Any

from bench.render.images.figures import SALT, Figure, blank, look_of, rendered
from bench.render.markdown import markdown
from bench.render.table.row import MISSING
from bench.storage import durable

COLUMNS = ("contestant", "b (95 %)", "models", "on the frontier", "measured", "scales")


def predict_lines(document: dict[str, Any]) -> list[str]:
    """The laws and crossings by compute and by time, and the order that they predict for the published sizes."""
    seeds = document["seeds"]
    lines = [
        "ΔE to the true picture as a power law of what training took: ΔE = a · cost^−b, through the finished models "
        f"that are better than all that took less (the frontier), means over seeds {', '.join(map(str, seeds))}. "
        "Intervals are over seeds alone, not over whether a power law holds; with fewer than six there are none.",
    ]
    for unit, found in document["laws"].items():
        lines += ["", f"**By training {'time' if unit == 'seconds' else 'arithmetic'}**", ""]
        if unit == "seconds" and document["untimed"]:
            lines.append(f"The runs were timed on different machines: {'; '.join(document['untimed'])}.")
            continue
        rows = [law_row(name, law, unit) for name, law in found["contestants"].items()]
        lines += [*markdown(list(COLUMNS), rows).splitlines(), ""]
        lines += [f"- {crossing_line(each, unit)}" for each in found["crossings"]]
    if len(codes := document["training_codes"]) > 1:
        lines += ["", f"**Runs of {len(codes)} versions of the training code stand together:** {', '.join(codes)}."]
    return [*lines, "", published_line(document["published"])]


def law_row(name: str, law: dict[str, Any], unit: str) -> list[str]:
    points, frontier = law["points"], sum(point["on_frontier"] for point in law["points"])
    costs, scales = [point["cost"] for point in points], sorted({point["scale"] for point in points})
    exponent = f"no law: it takes {law['needed']} models on the frontier"
    if law["exponent"] is not None:
        exponent = f"{law['exponent']:.2f}{between(law['exponent_interval'])}"
    measured = f"{min(costs):.3g} to {max(costs):.3g} {unit}" if costs else MISSING
    return [name, exponent, str(len(points)), str(frontier), measured, ", ".join(f"{each:g}" for each in scales)]


def between(interval: list[float] | None) -> str:
    return "" if interval is None else f" ({interval[0]:.2f} to {interval[1]:.2f})"


def crossing_line(crossing: dict[str, Any], unit: str) -> str:
    """Who is better in all that was measured, or where both are equally good, and what the laws say beyond."""
    first, second = crossing["between"]
    throughout, beyond = crossing["better_throughout"], crossing["better_beyond"]
    share = "" if crossing["share"] is None else f" (in {crossing['share']:.0%} of the resamples)"
    low, high = crossing["measured"]
    lead = ""
    if throughout is not None:
        other = second if throughout == first else first
        lead = f"{throughout} is better than {other} from {low:.3g} to {high:.3g} {unit}"
    if crossing["log10_cost"] is None:
        return f"By their laws, {lead or f'{first} and {second} are equally good'}, and they do not cross"
    if throughout == beyond:
        return f"By their laws, {lead}, and beyond{share}"
    where = f"{power(crossing['log10_cost'])} {unit}{range_of(crossing['interval'])}"
    lead += "; " * bool(lead)
    return (
        f"By their laws, {lead}{first} and {second} are equally good at {where}; beyond that {beyond} is better{share}"
    )


def power(log10: float) -> str:
    """`3.2` or `1e+400`: a number by its logarithm, which may be too large for one."""
    return f"{10**log10:.2g}" if abs(log10) < 300 else f"1e{log10:+.0f}"


def range_of(interval: list[float] | None) -> str:
    return "" if interval is None else f" ({' to '.join(map(power, interval))})"


def published_line(found: dict[str, Any] | None) -> str:
    """The order that is predicted of the published sizes, and how far that is from anything measured."""
    if found is None:
        return (
            "**The published sizes:** nothing is predicted. It takes two contestants with a law, three scales of each, "
            "and six seeds."
        )
    side, beyond = found["image_size"], min(found["beyond"].values())
    return (
        f"**Predicted order of the published sizes** after {found['images']:,} images of {side}×{side}: "
        f"{', then '.join(found['order'])} (in {found['share']:.0%} of the resamples). That is at least {beyond:,.0f} "
        "times the arithmetic of anything measured here, and a law has no floor: the order is a guess, ΔE is not said."
    )


def write_prediction(out: Path, document: dict[str, Any]) -> None:
    """The document as JSON, page and picture."""
    durable.write_text(out / "predict.json", json.dumps(document, indent=1, allow_nan=False) + "\n")
    page = [*predict_lines(document), "", "![ΔE against compute and time, with the laws](predict.png)"]
    durable.write_text(out / "predict.md", "\n".join(page) + "\n")
    durable.write_bytes(out / "predict.png", draw(document))


def draw(document: dict[str, Any]) -> bytes:
    """A panel for each kind of cost: all models, those of the frontier filled, and the laws with their bands."""
    import matplotlib

    with matplotlib.rc_context(SALT):
        figure = blank(10, 4)
        panels = figure.subplots(1, len(document["laws"]), squeeze=False)[0]
        for panel, (unit, found) in zip(panels, document["laws"].items(), strict=True):
            for number, (name, law) in enumerate(found["contestants"].items()):
                draw_law(panel, name, law, number)
            panel.set_xscale("log")
            panel.set_yscale("log")
            panel.set_xlabel(f"training, {unit}")
            panel.set_ylabel("ΔE to the true picture ↓")
            panel.grid(alpha=0.25)
            if found["contestants"]:
                panel.legend()
        return rendered(figure)


def draw_law(panel: Figure, name: str, law: dict[str, Any], number: int) -> None:
    """Models as marks, of which those of the frontier are filled; the law and its band as far as was measured."""
    style = look_of(number)
    for on_frontier, face in ((True, style.color), (False, "none")):
        there = [point for point in law["points"] if point["on_frontier"] == on_frontier]
        panel.plot(
            [point["cost"] for point in there], [point["colour"] for point in there], style.marker, color=style.color,
            markerfacecolor=face, markersize=5, label=name if on_frontier else None,
        )  # fmt: skip
    if law["exponent"] is not None:
        costs = [point["cost"] for point in law["points"]]
        x = [min(costs), max(costs)]
        y = [10 ** law["height"] * cost ** -law["exponent"] for cost in x]
        panel.plot(x, y, color=style.color, linestyle=style.linestyle)
    if law["band"]:
        panel.fill_between(*zip(*law["band"], strict=True), color=style.color, alpha=0.15)
