"""The picture of an experiment's parts: step by step from the reference to all parts, in quality and in costs."""

import math
from statistics import fmean
from typing import Any

from bench.render.experiment_costs import COSTS, cost_of, reference_of
from bench.render.images.figures import Figure, blank, look, rendered


def draw_waterfall(document: dict[str, Any]) -> bytes:
    """Rows from the reference by each part to all; panels for the measure that decides and for each kind of cost."""
    parts, reference = document["parts"], reference_of(document)
    costs = [kind for kind in COSTS if all(part["costs"][kind.key] for part in parts)]
    rows = [reference["name"], *(part["name"] for part in parts), "all parts"]
    figure = blank(6 + 2.6 * len(costs), 1.6 + 0.45 * len(rows))
    panels = figure.subplots(1, 1 + len(costs), sharey=True, squeeze=False, width_ratios=[2, *[1] * len(costs)])[0]
    quality(panels[0], document, parts, reference)
    for panel, kind in zip(panels[1:], costs, strict=True):
        marks = [1.0]
        for part in parts:
            marks.append(marks[-1] * part["costs"][kind.key])
        start = cost_of(reference, kind) or math.nan
        panel.set_xscale("log")
        steps(panel, marks, None)
        panel.set_xticks(ticks := [1, 2, 4, 8], [f"×{tick}" for tick in ticks])
        panel.minorticks_off()
        panel.set_xlim(min(0.8, *marks) * 0.9, max(*marks, 2) * 1.3)
        panel.set_xlabel(f"{kind.label.partition(',')[0]},\ntimes {kind.write(start)}")
    panels[0].set_yticks(range(len(rows)), rows)
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    return rendered(figure)


def quality(panel: Figure, document: dict[str, Any], parts: list[dict[str, Any]], reference: dict[str, Any]) -> None:
    """By the measure that decides, from the reference's mean over the seeds that all arms have."""
    measure, effects = document["measures"][0], [part["effects"][0] for part in parts]
    marks = [fmean(reference["values"][measure["key"]][seed] for seed in effects[0]["differences"])]
    for effect in effects:
        marks.append(marks[-1] + effect["difference"])
    steps(panel, marks, [effect["interval"] for effect in effects])
    panel.set_xlabel(f"{measure['label']} ({'left' if measure['better'] == 'lower' else 'right'} is better)")


def steps(panel: Figure, marks: list[float], intervals: list[list[float] | None] | None) -> None:
    """A diamond where it begins and where it ends, and for each part a bar from mark to mark, with its interval."""
    for row, (before, after) in enumerate(zip(marks, marks[1:], strict=False), 1):
        style = look(0 if after <= before else 1)
        panel.barh(row, after - before, left=before, height=0.5, color=style.color, alpha=0.7)
        panel.plot([after, after], [row - 0.25, row + 1], color="#444444", linewidth=0.8)
        if intervals and (interval := intervals[row - 1]):
            panel.plot([before + end for end in interval], [row, row], color="#222222", linewidth=2)
    panel.plot([marks[0], marks[0]], [0, 1], color="#444444", linewidth=0.8)
    panel.plot([marks[0], marks[-1]], [0, len(marks)], "D", color="#222222", markersize=7)
    panel.grid(alpha=0.25, axis="x")
