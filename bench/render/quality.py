"""The page on quality, `quality.md`: curves, guidance sweep and confusions, from records alone."""

import io
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

from bench import durable
from bench.record import Record
from bench.render.column import Column, columns
from bench.render.legend import MISSING
from bench.render.row import at, decimals, share, walk

CURVES, GUIDANCE = "curves.png", "guidance.png"
AXES = (("images", 1e3, "thousand images seen"), ("seconds", 60, "minutes of training"),
        ("training_flop", 1e15, "PFLOP of training"))  # fmt: skip
MEASURES = (("accuracy", "attribute accuracy"), ("frechet_distance", "Fréchet distance, few samples"))
Point = dict[str, Any]


def write_quality(out: Path, records: list[Record]) -> None:
    """Draw the page of a results folder with its pictures."""
    made = [column for column in columns([r for r in records if r.status == "done"]) if at("curve")(column.records[0])]
    if not made:
        return
    durable.write_bytes(out / "images" / CURVES, draw_curves(made))
    durable.write_bytes(out / "images" / GUIDANCE, draw_guidance(made))
    durable.write_text(out / "quality.md", page(made))


def page(made: list[Column]) -> str:
    """The page in Markdown."""
    parts = [
        "# Quality",
        "The numbers behind the [table](table.md); what each of them means stands in the README under *How to read the "
        "numbers*. A line of the pictures is a mean over seeds, the band their range; the tables are the first seed's.",
        "## After every epoch",
        f"![quality by images, time and compute](images/{CURVES})",
        f"From {few(made, 'curve')} samples, so Fréchet distances are higher than the table's and compare with each "
        "other only; before the last epoch the learning rate is still high: compare the ends first.",
        "## Guidance",
        f"![quality by guidance scale](images/{GUIDANCE})",
        f"From {few(made, 'guidance')} samples: the same note holds.",
        *(part for column in made for part in (f"**{column.title}**", guidance_table(column))),
        "## Most confused",
        *(part for column in made for part in confusion_part(column)),
    ]
    return "\n\n".join(parts) + "\n"


def few(made: list[Column], table: str) -> str:
    """How many samples the points of a table of the first record rest on."""
    points = at(table)(made[0].records[0]) or [{}]
    return str(points[-1].get("samples", MISSING))


def markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, [":---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(point: Point, write: Callable[[float], str], path: tuple[str, ...]) -> str:
    value = walk(point, path)
    return MISSING if value is None else write(value)


GUIDANCE_COLUMNS: list[tuple[str, tuple[str, ...], Callable[[float], str]]] = [
    ("guidance", ("guidance",), decimals(0)),
    ("accuracy", ("accuracy",), decimals(3)),
    ("Fréchet distance", ("frechet_distance",), decimals(1)),
    ("stray pixels", ("artefacts", "stray_pixels", "value"), share),
    ("ΔE to the colour asked", ("artefacts", "colour_error", "value"), decimals(2)),
    ("out of palette", ("artefacts", "out_of_palette", "value"), share),
    ("edge agreement", ("artefacts", "edge_agreement", "value"), decimals(3)),
    ("brightness", ("artefacts", "brightness", "value"), decimals(2)),
    ("saturation", ("artefacts", "saturation", "value"), decimals(2)),
]


def guidance_table(column: Column) -> str:
    """The sweep of the first seed, a row a scale."""
    rows = [[number(point, write, path) for _, path, write in GUIDANCE_COLUMNS]
            for point in at("guidance")(column.records[0]) or []]  # fmt: skip
    return markdown([name for name, *_ in GUIDANCE_COLUMNS], rows)


def confusion_part(column: Column) -> list[str]:
    """The confusion table of the attribute that a contestant shows worst: asked in rows, seen in columns."""
    found = at("attributes", "confusion")(column.records[0])
    if found is None:
        return []
    names, counts = found["variants"], found["counts"]
    used = [i for i, name in enumerate(names) if sum(counts[i]) or any(row[i] for row in counts)]
    rows = [[names[i], *(str(counts[i][j] or "·") for j in used)] for i in used]
    title = f"**{column.title}: {found['attribute']}**, asked in rows, seen in columns"
    return [title, markdown(["", *(names[i] for i in used)], rows)]


def png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110, format="png", metadata={"Software": None})
    return buffer.getvalue()


def draw_curves(made: list[Column]) -> bytes:
    """Accuracy and Fréchet distance by images, seconds and FLOPs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6.5), layout="constrained")
    panels = figure.subplots(len(MEASURES), len(AXES), sharey="row")
    for row, (measure, words) in zip(panels, MEASURES, strict=True):
        for panel, (axis, unit, label) in zip(row, AXES, strict=True):
            for number_, column in enumerate(made):
                draw_line(panel, [at("curve")(r) for r in column.records], axis, unit, measure, column.title, number_)
            panel.set_xlabel(label)
        row[0].set_ylabel(words)
    panels[0][0].legend()
    return png(figure)


def draw_line(
    panel: Any, curves: list[list[Point]], axis: str, unit: float, measure: str, title: str, number_: int
) -> None:
    """A column's mean over seeds, with the range of the seeds as a band."""
    together = [
        points for points in zip(*curves, strict=False)
        if all(p.get(axis) is not None and p.get(measure) is not None for p in points)
    ]  # fmt: skip
    x = [fmean(p[axis] for p in points) / unit for points in together]
    values = [[p[measure] for p in points] for points in together]
    panel.plot(x, [fmean(each) for each in values], marker="o", markersize=3, color=f"C{number_}", label=title)
    panel.fill_between(
        x, [min(each) for each in values], [max(each) for each in values], color=f"C{number_}", alpha=0.2
    )


def draw_guidance(made: list[Column]) -> bytes:
    """Accuracy, Fréchet distance, stray pixels and saturation by guidance scale."""
    from matplotlib.figure import Figure

    shown = (
        ("accuracy", ("accuracy",)),
        ("Fréchet distance, few samples", ("frechet_distance",)),
        ("stray pixels", ("artefacts", "stray_pixels", "value")),
        ("saturation against real", ("artefacts", "saturation", "value")),
    )
    figure = Figure(figsize=(13, 3.4), layout="constrained")
    for panel, (words, path) in zip(figure.subplots(1, len(shown)), shown, strict=True):
        for number_, column in enumerate(made):
            curves = [
                [{"guidance": point["guidance"], "value": walk(point, path)} for point in at("guidance")(r) or []]
                for r in column.records
            ]
            draw_line(panel, curves, "guidance", 1, "value", column.title, number_)
        panel.set_xlabel("guidance scale")
        panel.set_title(words)
    panel.legend()
    return png(figure)
