"""The picture of `bench bridge`: how many times each change multiplies parameters, arithmetic, memory and time."""

from typing import Any

from bench.render.bridge import PLACES, TOGETHER, Cost, costs_of, multiple, title
from bench.render.images.figures import Figure, blank, look_of, rendered


def draw_bridge(document: dict[str, Any]) -> bytes:
    """A row a change and a panel a cost; a mark for the change made first, one for the change made last."""
    rows = [*(list(places.values()) for places in document["changes"].values()), [document["together"]]]
    names = [*(title(*each) for each in document["changes"].items()), TOGETHER]
    costs = costs_of(document)
    figure = blank(5 + 2.6 * len(costs), 1.6 + 0.4 * len(rows))
    panels = figure.subplots(1, len(costs), sharey=True)
    for panel, cost in zip(panels, costs, strict=True):
        draw_cost(panel, cost, rows)
    panels[0].set_yticks(range(len(rows)), names)
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    for number, words in enumerate(PLACES.values()):
        panels[0].plot([], [], look_of(number).marker, color=look_of(number).color, label=words)
    figure.legend(loc="outside lower right", ncols=2, frameon=False)
    return rendered(figure)


def draw_cost(panel: Figure, cost: Cost, rows: list[list[dict[str, Any]]]) -> None:
    panel.axvline(1, color="#444444", linewidth=1)
    for number, row in enumerate(rows):
        values = [multiple(comparison, cost) for comparison in row]
        for place, (value, comparison) in enumerate(zip(values, row, strict=True)):
            alone = len(row) == 1
            marker, color = ("D", "#222222") if alone else (look_of(place).marker, look_of(place).color)
            y = number + (0 if alone else 0.12 * (2 * place - 1))
            panel.plot([value], [y], marker, color=color, markersize=6)
            if cost.size == "seconds":
                found = comparison[cost.size][cost.key]
                panel.plot([found["low"], found["high"]], [y, y], color=color, linewidth=1.5)
    panel.set_xscale("log")
    panel.set_xticks(ticks := [0.5, 1, 2, 4, 8], [f"×{tick:g}" for tick in ticks])
    panel.minorticks_off()
    panel.set_xlim(0.28, 9)
    panel.set_xlabel(cost.label.replace(", ", ",\n"))
    panel.grid(alpha=0.25)
