"""The picture of an experiment's parts: from the reference by the share of each part to all parts."""

from statistics import fmean
from typing import Any

from bench.render.experiment_costs import COSTS, cost_of, differ_in_cost, reference_of
from bench.render.experiment_effect import writer
from bench.render.images.figures import Figure, blank, rendered
from bench.render.table.row import as_difference

BETTER, WORSE = "#0b5394", "#e08214"


def draw_waterfall(document: dict[str, Any]) -> bytes:
    """A row for the reference, each part and all parts; panels for the measure that decides and each kind of cost."""
    parts, reference = document["parts"], reference_of(document)
    known = [kind for kind in COSTS if all(part["costs"][kind.key] for part in parts)]
    costs = known if differ_in_cost(document) else []
    rows = [reference["name"], *(part["name"] for part in parts), "all parts"]
    figure = blank(6 + 2.6 * len(costs), 2 + 0.45 * len(rows))
    panels = figure.subplots(1, 1 + len(costs), sharey=True, squeeze=False, width_ratios=[2, *[1] * len(costs)])[0]
    quality(panels[0], document, parts, reference)
    for panel, kind in zip(panels[1:], costs, strict=True):
        cost(panel, [part["costs"][kind.key] for part in parts])
        start = cost_of(reference, kind)
        of = "" if start is None else f",\ntimes {kind.write(start)}"
        panel.set_xlabel(kind.label.partition(",")[0] + of)
    panels[0].set_yticks(range(len(rows)), rows)
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    figure.supxlabel("A bar is a part's share, averaged over all orders of adding them; marks between are no model.\n"
                     "Blue: better, or cheaper. Orange: worse, or dearer.", fontsize=9)  # fmt: skip
    return rendered(figure)


def quality(panel: Figure, document: dict[str, Any], parts: list[dict[str, Any]], reference: dict[str, Any]) -> None:
    """By the measure that decides, from the reference's mean over the seeds that all arms have."""
    measure, effects = document["measures"][0], [part["effects"][0] for part in parts]
    lower, write = measure["better"] == "lower", writer(measure["key"])
    marks = [fmean(reference["values"][measure["key"]][seed] for seed in effects[0]["differences"])]
    for effect in effects:
        marks.append(marks[-1] + effect["difference"])
    steps(panel, marks, [as_difference(write)(effect["difference"]) for effect in effects], lower)
    for row, (before, effect) in enumerate(zip(marks, effects, strict=False), 1):
        if effect["interval"]:
            panel.plot([before + end for end in effect["interval"]], [row, row], color="#222222", linewidth=2)
    panel.set_xlabel(f"{measure['label']} ({'left' if lower else 'right'} is better)")


def cost(panel: Figure, multiples: list[float]) -> None:
    """By how many times each part multiplies a cost, on a logarithmic axis."""
    marks = [1.0]
    for multiple in multiples:
        marks.append(marks[-1] * multiple)
    panel.set_xscale("log")
    steps(panel, marks, [f"×{multiple:.2f}" for multiple in multiples], True)
    panel.set_xticks(ticks := [0.5, 1, 2, 4, 8], [f"×{tick:g}" for tick in ticks])
    panel.minorticks_off()
    panel.set_xlim(min(marks) * 0.8, max(*marks, 2) * 1.5)


def steps(panel: Figure, marks: list[float], words: list[str], lower_is_better: bool) -> None:
    """A diamond where it begins and where it ends, and for each part a bar from mark to mark with its share."""
    for row, (before, after, share) in enumerate(zip(marks, marks[1:], words, strict=False), 1):
        color = BETTER if (after <= before) == lower_is_better else WORSE
        panel.barh(row, after - before, left=before, height=0.5, color=color, alpha=0.7)
        panel.plot([after, after], [row - 0.25, row + 1], color="#444444", linewidth=0.8)
        panel.annotate(share, (max(before, after), row - 0.36), fontsize=8, va="center")
    panel.plot([marks[0], marks[0]], [0, 1], color="#444444", linewidth=0.8)
    panel.plot([marks[0], marks[-1]], [0, len(marks)], "D", color="#222222", markersize=7)
    panel.grid(alpha=0.25, axis="x")
