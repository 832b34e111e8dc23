"""The page on quality, `quality.md`: curves, guidance sweep and confusions, from records alone."""

from pathlib import Path

from bench.record import Record
from bench.render.images.plots import PLOTS, write_plots
from bench.render.markdown import escape, markdown
from bench.render.table.column import Column, columns
from bench.render.table.comparability import comparability_notes
from bench.render.table.numbers import Numbers, confusion_numbers, guidance_numbers
from bench.render.table.row import MISSING, at
from bench.storage import durable
from bench.storage.folder import ResultsFolder


def write_quality(out: Path, records: list[Record]) -> None:
    """Draw the page of a results folder with its pictures."""
    done = columns([record for record in records if record.status == "done"])
    missing = write_plots(out, done)
    made = [column for column in done if at("curve")(column.records[0])]
    if made:
        durable.write_text(ResultsFolder(out).quality, page(made, missing))


def page(made: list[Column], missing: list[str]) -> str:
    """The page in Markdown."""
    parts = [
        "# Quality",
        "The numbers behind the [table](table.md); what each of them means stands in the README under *How to read the "
        "numbers*. A line of the pictures is a mean over seeds, the band their range; the tables are the first seed's.",
        *(f"- {note}" for note in comparability_notes(made)),
        "## After every epoch",
        *plot("curves", missing),
        f"From {few(made, 'curve')} samples, so Fréchet distances are higher than the table's and compare with each "
        "other only; before the last epoch the learning rate is still high: compare the ends first.",
        "## Attributes",
        *plot("attributes", missing),
        "## Guidance",
        *plot("guidance", missing),
        f"From {few(made, 'guidance')} samples: the same note holds.",
        *in_markdown(guidance_numbers(made)),
        "## Where in the noise",
        *plot("timesteps", missing),
        "## Memory",
        *plot("memory", missing),
        "## Most confused",
        "Asked in rows, seen in columns, of the attribute that a contestant shows worst.",
        *in_markdown(confusion_numbers(made)),
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


def in_markdown(tables: list[Numbers]) -> list[str]:
    return [part for each in tables for part in (f"**{escape(each.caption)}**", markdown(each.header, each.lines))]
