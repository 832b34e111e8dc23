"""The document of `bench predict`: tables and a picture."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from bench.render.images.figures import SALT, Figure, blank, look, rendered
from bench.render.markdown import markdown
from bench.storage import durable

UNITS = {"compute": "PFLOP", "time": "s"}
AXES = {"compute": "training arithmetic, PFLOP", "time": "training time, s"}


def predict_lines(document: dict[str, Any]) -> list[str]:
    """The laws and crossings by compute and by time, and the order that they predict for the published sizes."""
    lines = [
        "ΔE to the true picture as a power law of what training took: ΔE = a · cost^−b, through the finished models "
        "that are better than all that took less (the frontier). In brackets 95 % intervals, from resampled seeds.",
    ]
    for name, found in document["laws"].items():
        rows = [law_row(contestant, law) for contestant, law in found["contestants"].items()]
        columns = ["contestant", "b", "models", "on the frontier", f"measured, {UNITS[name]}", "sizes", "seeds"]
        lines += ["", f"**By {name}**", "", *markdown(columns, rows).splitlines()]
        lines += ["", *(f"- {crossing_line(each, found, UNITS[name])}" for each in found["crossings"])]
    return [*lines, *published_lines(document["published"])]


def law_row(name: str, law: dict[str, Any]) -> list[str]:
    points = law["points"]
    costs = [point["cost"] for point in points]
    return [
        name,
        f"{law['exponent']:.2f}{between(law['exponent_interval'], '.2f')}",
        str(len(points)),
        str(sum(point["on_frontier"] for point in points)),
        f"{min(costs):.3g} to {max(costs):.3g}",
        ", ".join(f"{scale:g}" for scale in sorted({point["scale"] for point in points})),
        str(len({seed for point in points for seed in point["seeds"]})),
    ]


def crossing_line(crossing: dict[str, Any], found: dict[str, Any], unit: str) -> str:
    """Where two contestants are equally good, and how far from there everything was measured."""
    first, second = crossing["between"]
    better, worse = (first, second) if crossing["first_is_better_beyond"] else (second, first)
    most = max(point["cost"] for name in (first, second) for point in found["contestants"][name]["points"])
    if not np.isfinite(crossing["log10_cost"]):
        return f"{first} and {second} have the same exponent: their laws do not cross"
    times = crossing["log10_cost"] - np.log10(most)
    where = f"at {power(crossing['log10_cost'])} {unit}{range_of(crossing['interval'])}"
    beyond = f", {power(times)} times what was measured" if times > 0 else ""
    share = "" if crossing["share"] is None else f" ({crossing['share']:.0%} of the resamples)"
    return f"{first} and {second} are equally good {where}{beyond}; beyond that {better} is better than {worse}{share}"


def power(log10: float) -> str:
    """`3.2` or `1e+12`: a number by its logarithm, which may be too large for one."""
    return f"{10**log10:.2g}" if abs(log10) < 300 else f"1e{log10:+.0f}"


def range_of(interval: list[float] | None) -> str:
    return "" if interval is None else f" ({' to '.join(map(power, interval))})"


def between(interval: list[float] | None, how: str) -> str:
    return "" if interval is None else f" ({' to '.join(format(each, how) for each in interval)})"


def published_lines(found: dict[str, Any]) -> list[str]:
    """What is predicted of the published sizes, and how far that is from anything measured."""
    if not found["models"]:
        return []
    rows = [published_row(name, model) for name, model in found["models"].items()]
    share = "" if found["share"] is None else f" ({found['share']:.0%} of the resamples)"
    return [
        "",
        f"**Predicted for the published sizes** after {found['images']:,} images of 64×64",
        "",
        *markdown(["contestant", "PFLOP", "times what was measured", "ΔE by the law"], rows).splitlines(),
        "",
        f"Predicted order: {', then '.join(found['order'])}{share}. A law has no floor, and images of another size are "
        "another task: of this table only the order is a prediction, and nobody has measured it yet.",
    ]


def published_row(name: str, model: dict[str, Any]) -> list[str]:
    colour = f"{model['colour']:.2g}{between(model['interval'], '.2g')}"
    return [name, f"{model['pflop']:,.0f}", f"{model['beyond']:,.0f}", colour]


def write_prediction(out: Path, document: dict[str, Any]) -> None:
    """The document as JSON, page and picture."""
    durable.write_text(out / "predict.json", json.dumps(document, indent=1) + "\n")
    page = [*predict_lines(document), "", "![ΔE against compute and time, with the laws](predict.png)"]
    durable.write_text(out / "predict.md", "\n".join(page) + "\n")
    durable.write_bytes(out / "predict.png", draw(document))


def draw(document: dict[str, Any]) -> bytes:
    """A panel for each kind of cost: all models, those of the frontier filled, and the laws with their resamples."""
    import matplotlib

    with matplotlib.rc_context(SALT):
        figure = blank(10, 4)
        panels = figure.subplots(1, len(document["laws"]), squeeze=False)[0]
        for panel, (name, found) in zip(panels, document["laws"].items(), strict=True):
            for number, (contestant, law) in enumerate(found["contestants"].items()):
                draw_law(panel, contestant, law, number)
            panel.set_xscale("log")
            panel.set_yscale("log")
            panel.set_xlabel(AXES[name])
            panel.set_ylabel("ΔE to the true picture ↓")
            panel.grid(alpha=0.25)
            panel.legend()
        return rendered(figure)


def draw_law(panel: Figure, name: str, law: dict[str, Any], number: int) -> None:
    style = look(number)
    for on_frontier, face in ((True, style.color), (False, "none")):
        there = [point for point in law["points"] if point["on_frontier"] == on_frontier]
        panel.plot(
            [point["cost"] for point in there], [point["colour"] for point in there], style.marker, color=style.color,
            markerfacecolor=face, markersize=5,
        )  # fmt: skip
    costs = [point["cost"] for point in law["points"]]
    x = np.geomspace(min(costs) / 1.5, max(costs) * 10, 40)
    panel.plot(x, 10 ** law["height"] * x ** -law["exponent"], color=style.color, linestyle=style.linestyle, label=name)
    bands = np.array([10**height * x**-exponent for height, exponent in law["resampled"]])
    if len(bands):
        panel.fill_between(x, *np.percentile(bands, [2.5, 97.5], axis=0), color=style.color, alpha=0.15)
