"""The plots of a results folder, from records alone: readable in grey, each as PNG and as SVG."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from bench.record import CurvePoint, GuidancePoint, Record
from bench.record.cost import Cost
from bench.record.quality import AttributeAccuracy, Estimate
from bench.render.images.figures import SALT, Figure, blank, draw_line, look_of, points_of, rendered
from bench.render.table.budget_rows import point_at
from bench.render.table.column import Column
from bench.render.table.comparability import kind_of_machine
from bench.render.table.cost_rows import training_seconds
from bench.render.table.numbers import artefact
from bench.render.table.row import precision_name
from bench.storage import durable
from bench.storage.folder import ResultsFolder

AXES: tuple[tuple[Callable[[Record, CurvePoint], float | None], float, str], ...] = (
    (lambda record, point: point.images, 1e3, "thousand images seen"),
    (training_seconds, 60, "minutes of training"),
    (lambda record, point: point.training_flop, 1e15, "PFLOP of training"),
)
MEASURES: tuple[tuple[Callable[[CurvePoint], float | None], str], ...] = (
    (lambda point: estimated(point.paired.colour if point.paired else None), "paired colour difference ΔE ↓"),
    (lambda point: estimated(point.exact), "attribute accuracy, exact ↑"),
)
SWEPT: tuple[tuple[str, Callable[[GuidancePoint], float | None]], ...] = (
    ("accuracy ↑", lambda point: point.accuracy),
    ("Fréchet distance, few samples ↓", lambda point: point.frechet_distance),
    ("stray pixels, share ↓", artefact(lambda a: a.stray_pixels)),
    ("saturation against real, chroma", artefact(lambda a: a.saturation)),
)


def estimated(found: Estimate | None) -> float | None:
    return None if found is None else found.value


class Kind(NamedTuple):
    """A kind of memory: the bytes of it, and how it is drawn."""

    bytes_of: Callable[[Cost], int]
    words: str
    hatch: str


KINDS = (
    Kind(lambda cost: cost.weights_bytes, "weights", ""),
    Kind(lambda cost: cost.adam_bytes, "Adam", "///"),
    Kind(lambda cost: cost.gradients_bytes, "gradients", "..."),
    Kind(lambda cost: cost.ema_bytes, "average (EMA)", "xxx"),
    Kind(lambda cost: 0 if cost.activations is None else cost.activations.saved_bytes, "activations saved", "\\\\"),
)
GIB = 2**30
KINDS_OF_FILE = ("png", "svg")


class Plot(NamedTuple):
    """A plot of a results folder: its file's name, what it shows, and how it is drawn of columns that have it."""

    name: str
    title: str
    alt: str
    measured: Callable[[Record], bool]  # whether a record has what is drawn
    draw: Callable[[list[Column]], Figure]


def write_plots(out: Path, made: list[Column]) -> list[str]:
    """Draw every plot that the records allow, in DIR/images; the names of those that they do not."""
    import matplotlib

    missing = []
    for plot in PLOTS:
        able = [column for column in made if all(plot.measured(record) for record in column.records)]
        if not able:
            missing.append(plot.name)
            for kind in KINDS_OF_FILE:  # one that lies there is of other records
                durable.remove_file(ResultsFolder(out).images / f"{plot.name}.{kind}")
            continue
        with matplotlib.rc_context(SALT):
            figure = plot.draw(able)
            for kind in KINDS_OF_FILE:
                durable.write_bytes(ResultsFolder(out).images / f"{plot.name}.{kind}", rendered(figure, kind))
    return missing


def draw_curves(made: list[Column]) -> Figure:
    """Paired colour difference and exact accuracy, by images, seconds and FLOPs: a finished model at each point."""
    figure = blank(12, 6.5)
    panels = figure.subplots(len(MEASURES), len(AXES), sharey="row")
    for row, (measure, words) in zip(panels, MEASURES, strict=True):
        for panel, (axis, unit, label) in zip(row, AXES, strict=True):
            for number, column in enumerate(made):
                if axis is training_seconds and column in untimed(made):
                    continue
                curves = [
                    points_of(points, partial(axis, record), measure, unit)
                    for record, points in zip(column.records, shared_points(column), strict=True)
                ]
                draw_line(panel, curves, column.title, look_of(number))
            panel.set_xlabel(label)
        row[0].set_ylabel(words)
    panels[0][0].legend()
    return figure


def untimed(made: list[Column]) -> list[Column]:
    """The columns that were timed on other kinds of machines than the reference, or not in quiet runs as it was."""
    first, *others = [{(kind_of_machine(t), t is r) for r in column.records for t in r.timed} for column in made]
    return [column for column, kinds in zip(made[1:], others, strict=True) if kinds != first]


def shared_points(column: Column) -> list[list[CurvePoint]]:
    """Of every seed the points of the budgets that all seeds have reached, by images; trained by epochs, all points."""
    records, budgets = column.records, column.lead.run.sizes.budgets
    if not budgets:
        return [list(record.measurements.curve) for record in records]
    found = [[point for record in records if (point := point_at(budget, record))] for budget in budgets]
    together = sorted((each for each in found if len(each) == len(records)), key=lambda each: each[0].images)
    return [list(points) for points in zip(*together, strict=True)] or [[] for _ in records]


def draw_guidance(made: list[Column]) -> Figure:
    """Accuracy, Fréchet distance, stray pixels and saturation by guidance scale."""
    figure = blank(13, 3.4)
    for panel, (words, read) in zip(figure.subplots(1, len(SWEPT)), SWEPT, strict=True):
        for number, column in enumerate(made):
            curves = [points_of(r.measurements.guidance, lambda point: point.guidance, read) for r in column.records]
            draw_line(panel, curves, column.title, look_of(number))
        panel.set_xlabel("guidance scale")
        panel.set_title(words)
    panel.legend()
    return figure


def draw_attributes(made: list[Column]) -> Figure:
    """Accuracy of every attribute as a dot a contestant, between chance and the ceiling of the classifier."""
    tables = [[per_attribute(record) for record in column.records] for column in made]
    limits = {
        name: (row.chance, row.ceiling)
        for seeds in reversed(tables) for table in reversed(seeds) for name, row in table.items()
        if None not in (row.accuracy, row.chance, row.ceiling)
    }  # fmt: skip
    names = [name for name in tables[0][0] if name in limits] + [n for n in limits if n not in tables[0][0]]
    figure = blank(8, 1 + 0.5 * len(names))
    panel = figure.subplots()
    for place, name in enumerate(names):
        chance, ceiling = limits[name]
        panel.hlines(place, chance, ceiling, color="0.8", linewidth=6, zorder=0)
        panel.plot([chance], [place], "|", color="0.45", markersize=16, label="chance")
        panel.plot([ceiling], [place], "|", color="black", markersize=16, label="ceiling")
    for number, (column, seeds) in enumerate(zip(made, tables, strict=True)):
        draw_dots(panel, names, seeds, column.title, number, len(made))
    panel.set_yticks(range(len(names)), names)
    panel.set_xlabel("accuracy: is seen what was asked? (share of samples; bars: range of seeds, or 95 % of one)")
    panel.invert_yaxis()
    panel.grid(axis="x", alpha=0.25)
    handles, words = panel.get_legend_handles_labels()
    once = dict(zip(words, handles, strict=True))
    figure.legend(once.values(), once.keys(), loc="outside upper center", ncols=len(once))
    return figure


def per_attribute(record: Record) -> dict[str, AttributeAccuracy]:
    scored = record.measurements.attributes
    return {} if scored is None else scored.per_attribute


def draw_dots(
    panel: Any, names: list[str], seeds: list[dict[str, AttributeAccuracy]], title: str, number: int, of: int
) -> None:
    """A contestant's dots, a little below or above the middle of their lines, with what they are sure of."""
    style = look_of(number)
    for place, name in enumerate(names):
        rows = [table[name] for table in seeds if name in table]
        values = [row.accuracy for row in rows if row.accuracy is not None]
        if not values:
            continue
        low, high = min(values), max(values)
        if len(values) == 1:
            low, high = next(row.interval for row in rows if row.accuracy is not None) or (low, high)
        middle, height = fmean(values), place + 0.22 * (number - (of - 1) / 2)
        panel.errorbar(
            [middle], [height], xerr=[[max(0, middle - low)], [max(0, high - middle)]], color=style.color,
            marker=style.marker, markersize=6, markeredgecolor="white", label=title,
        )  # fmt: skip


def draw_memory(made: list[Column]) -> Figure:
    """What a training step keeps at full scale, stacked: for the parameters alone, and with a batch's activations."""
    figure = blank(11, 1.6 + 0.6 * len(made))
    costs = [cost for column in made if (cost := column.records[0].measurements.full_cost) is not None]
    first = costs[0]
    how = precision_name(first.mixed_precision)
    size = f"{first.image_size}×{first.image_size}, batches of {first.batch_size}, {how}"
    for panel, kinds, words in zip(
        figure.subplots(1, 2, sharey=True),
        (KINDS[:-1], KINDS),
        ("GiB kept for the parameters", f"GiB with the activations at {size}"),
        strict=True,
    ):
        draw_stacks(panel, [column.title for column in made], costs, kinds)
        panel.set_xlabel(words)
    panel.invert_yaxis()
    figure.legend(*panel.get_legend_handles_labels(), loc="outside upper center", ncols=len(KINDS))
    return figure


def draw_stacks(panel: Any, titles: list[str], costs: list[Cost], kinds: Iterable[Kind]) -> None:
    """A bar a contestant, made of some kinds of memory, with their sum."""
    left = [0.0] * len(titles)
    for shade, kind in enumerate(kinds):
        widths = [kind.bytes_of(cost) / GIB for cost in costs]
        panel.barh(
            titles, widths, left=left, label=kind.words, hatch=kind.hatch, edgecolor="black",
            color=f"{0.95 - 0.13 * shade:.2f}", linewidth=0.6,
        )  # fmt: skip
        left = [before + width for before, width in zip(left, widths, strict=True)]
    for place, total in enumerate(left):
        panel.text(total, place, f" {total:,.2f}", va="center")
    panel.set_xlim(0, 1.2 * max(left))


def draw_timesteps(made: list[Column]) -> Figure:
    """The loss on held-out images by timestep, of the model that is scored."""
    figure = blank(7, 4)
    panel = figure.subplots()
    for number, column in enumerate(made):
        draw_line(panel, [list(losses_of(record)) for record in column.records], column.title, look_of(number))
    panel.set_yscale("log")
    panel.set_xlabel("timestep (0: hardly any noise)")
    panel.set_ylabel("validation loss (mean squared error) ↓")
    panel.legend()
    return figure


def losses_of(record: Record) -> Iterable[tuple[float, float]]:
    """Timesteps and losses at the main budget; of a record without budgets, after the last epoch."""
    training = record.measurements.training
    if training is None or not training.validation:
        return []
    at_end = (point.validation for point in training.points if point.steps == training.main_steps)
    last = next(at_end, training.validation[-1])
    return zip(training.validation_timesteps, last.averaged or last.raw, strict=True)


def full_activations(record: Record) -> bool:
    """Whether what a step keeps at full scale is known in full."""
    cost = record.measurements.full_cost
    return cost is not None and cost.activations is not None


PLOTS = (
    Plot(
        "curves", "Quality of finished models, by images seen, time and arithmetic",
        "Line charts: paired colour difference and attribute accuracy by the exact judge, by images seen, by "
        "minutes of training and by arithmetic; a point is a finished model, a line a contestant, its seeds a band.",
        lambda r: any(point.paired for point in r.measurements.curve),
        draw_curves,
    ),
    Plot(
        "guidance", "Quality by guidance scale",
        "Line charts: accuracy, Fréchet distance, stray pixels and saturation by guidance scale, a line a contestant.",
        lambda r: bool(r.measurements.guidance), draw_guidance,
    ),
    Plot(
        "attributes", "Accuracy of every attribute, with chance and ceiling",
        "Dot plot: how often samples show what was asked for, a line an attribute, between chance level and ceiling.",
        lambda r: bool(per_attribute(r)), draw_attributes,
    ),
    Plot(
        "memory", "Memory of a training step at full scale",
        "Stacked bars: weights, Adam, gradients, average and activations of every contestant at the published size.",
        full_activations, draw_memory,
    ),
    Plot(
        "timesteps", "Validation loss by timestep",
        "Line chart: the loss on held-out images at each of the timesteps that it is averaged over, a line a "
        "contestant.", lambda r: bool([*losses_of(r)]), draw_timesteps,
    ),
)  # fmt: skip
