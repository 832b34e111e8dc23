"""The picture of an experiment: each arm's difference from the reference, and how many times its cost."""

from typing import Any

from bench.render.images.figures import Figure, blank, rendered

COLOR = "#0b5394"


def draw(document: dict[str, Any], arms: list[dict[str, Any]], ratios: dict[str, list[float | None]]) -> bytes:
    """A line an arm. On the left: a dot a seed, the mean and its 95 % interval, zero and the margin; then a panel of
    bars for each kind of cost, as a multiple of the reference's.
    """
    figure = blank(7.5 + 2 * len(ratios), 1.4 + 0.5 * len(arms))
    panels = figure.subplots(
        1, 1 + len(ratios), sharey=True, squeeze=False, width_ratios=[3, *[1] * len(ratios)]
    )[0]  # fmt: skip
    differences(panels[0], document, arms)
    for panel, (title, values) in zip(panels[1:], ratios.items(), strict=True):
        bars(panel, title, values)
    panels[0].set_yticks(range(len(arms)), [arm["name"] for arm in arms])
    panels[0].set_ylim(len(arms) - 0.5, -0.5)
    return rendered(figure)


def differences(panel: Figure, document: dict[str, Any], arms: list[dict[str, Any]]) -> None:
    """By the measure that decides."""
    asked, measure = document["experiment"], document["measures"][0]
    panel.axvline(0, color="#444444", linewidth=1)
    if asked["margin"]:
        panel.axvspan(-asked["margin"], asked["margin"], color="#444444", alpha=0.1)
    for row, arm in enumerate(arms):
        effect = arm["effects"][0]
        panel.plot([*effect["differences"].values()], [row] * len(effect["differences"]), "o", color=COLOR,
                   alpha=0.35, markersize=5)  # fmt: skip
        low, high = effect["interval"] or [effect["difference"]] * 2
        panel.plot([low, high], [row, row], color=COLOR, linewidth=2)
        panel.plot([effect["difference"]], [row], "D", color=COLOR, markersize=6)
    better = "left is better" if measure["better"] == "lower" else "right is better"
    panel.set_xlabel(f"{measure['label']},\ndifference from {asked['reference']} ({better})")
    panel.grid(alpha=0.25, axis="x")


def bars(panel: Figure, title: str, values: list[float | None]) -> None:
    """Multiples of the reference's cost, each written beside its bar."""
    for row, value in enumerate(values):
        if value is not None:
            panel.barh(row, value - 1, left=1, height=0.5, color=COLOR, alpha=0.6)
            panel.annotate(
                f" {value:.2f} ", (value, row), va="center", ha="left" if value >= 1 else "right", fontsize=8
            )
    panel.axvline(1, color="#444444", linewidth=1)
    panel.margins(x=0.35)
    panel.set_xlabel(f"{title},\ntimes the reference's")
    panel.grid(alpha=0.25, axis="x")
