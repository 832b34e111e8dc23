"""The page on quality, `quality.md`: curves, guidance sweep and confusions, from records alone."""

from collections.abc import Callable
from pathlib import Path

from bench import durable
from bench.record import Record
from bench.render.column import Column, columns
from bench.render.figures import Point
from bench.render.legend import MISSING
from bench.render.markdown import markdown
from bench.render.plots import PLOTS, write_plots
from bench.render.row import at, decimals, share, walk


def write_quality(out: Path, records: list[Record]) -> None:
    """Draw the page of a results folder with its pictures."""
    done = columns([record for record in records if record.status == "done"])
    missing = write_plots(out, done)
    made = [column for column in done if at("curve")(column.records[0])]
    if made:
        durable.write_text(out / "quality.md", page(made, missing))


def page(made: list[Column], missing: list[str]) -> str:
    """The page in Markdown."""
    parts = [
        "# Quality",
        "The numbers behind the [table](table.md); what each of them means stands in the README under *How to read the "
        "numbers*. A line of the pictures is a mean over seeds, the band their range; the tables are the first seed's.",
        "## After every epoch",
        *plot("curves", missing),
        f"From {few(made, 'curve')} samples, so Fréchet distances are higher than the table's and compare with each "
        "other only; before the last epoch the learning rate is still high: compare the ends first.",
        "## Attributes",
        *plot("attributes", missing),
        "## Guidance",
        *plot("guidance", missing),
        f"From {few(made, 'guidance')} samples: the same note holds.",
        *(part for column in made for part in (f"**{column.title}**", guidance_table(column))),
        "## Where in the noise",
        *plot("timesteps", missing),
        "## Memory",
        *plot("memory", missing),
        "## Most confused",
        *(part for column in made for part in confusion_part(column)),
    ]
    return "\n\n".join(parts) + "\n"


def plot(name: str, missing: list[str]) -> list[str]:
    """A plot by its name, or a word that it could not be drawn."""
    found = next(plot for plot in PLOTS if plot.name == name)
    return [f"Not drawn, records lack it: {found.title}." if name in missing else f"![{found.alt}](images/{name}.png)"]


def few(made: list[Column], table: str) -> str:
    """How many samples the points of a table of the first record rest on."""
    points = at(table)(made[0].records[0]) or [{}]
    return str(points[-1].get("samples", MISSING))


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
