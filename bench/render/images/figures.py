"""What all plots share: how contestants look, lines with bands, and files of the same bytes every time."""

import io
from collections.abc import Callable, Iterable
from statistics import fmean
from typing import Any, NamedTuple, TypeVar

Figure = Any  # matplotlib's, which is imported late
Point = TypeVar("Point")
SALT: Any = {"svg.fonttype": "none", "svg.hashsalt": "bench"}  # text stays text, and the same plot has the same bytes


class Look(NamedTuple):
    """How a contestant is told from the others, in colour and in grey."""

    color: str
    marker: str
    linestyle: str | tuple[int, tuple[int, ...]]


LOOKS = (
    Look("#0b5394", "o", "-"),
    Look("#e08214", "s", "--"),
    Look("#1b9e77", "^", "-."),
    Look("#b03a78", "D", ":"),
    Look("#444444", "v", (0, (5, 1, 1, 1, 1, 1))),
)


def look_of(number: int) -> Look:
    return LOOKS[number % len(LOOKS)]


def rendered(figure: Figure, kind: str = "png") -> bytes:
    """A figure as the bytes of a PNG or SVG file, without a date or a version in it."""
    buffer = io.BytesIO()
    nothing = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
    figure.savefig(buffer, dpi=110, format=kind, metadata=nothing)
    return buffer.getvalue()


def blank(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def points_of(
    points: Iterable[Point], x: Callable[[Point], float | None], y: Callable[[Point], float | None], unit: float = 1
) -> list[tuple[float, float] | None]:
    """Pairs of two readings of every point; None where either is missing."""
    pairs = [(x(point), y(point)) for point in points]
    return [None if a is None or b is None else (a / unit, b) for a, b in pairs]


def draw_line(panel: Any, curves: list[list[tuple[float, float] | None]], title: str, style: Look) -> None:
    """A column's mean over seeds, with the range of the seeds as a band."""
    together = [[point for point in points if point] for points in zip(*curves, strict=False) if all(points)]
    x = [fmean(a for a, _ in points) for points in together]
    values = [[b for _, b in points] for points in together]
    panel.plot(x, [fmean(each) for each in values], markersize=4, label=title, **style._asdict())
    panel.fill_between(x, [min(each) for each in values], [max(each) for each in values], color=style.color, alpha=0.2)
    panel.grid(alpha=0.25)
