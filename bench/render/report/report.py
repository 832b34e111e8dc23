"""The report: one HTML file of everything a results folder holds, made from records and the pictures beside them."""

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from bench.errors import BadInput
from bench.record import Record
from bench.render.report import exhibits, setting
from bench.render.report.embedded import Picture, Shelf
from bench.render.report.exhibits import Choice, Exhibit, Gallery, Sweep
from bench.render.table.column import Column
from bench.render.table.numbers import Numbers, confusion_numbers, difference_numbers, guidance_numbers
from bench.render.table.row import Row
from bench.render.table.rows import EXAMPLE
from bench.render.table.runs_table import Runs, runs_table
from bench.render.table.table import ARROWS, Cell, Table, table

LIMIT = 8_000_000  # bytes of a page: what goes through a mail
CHOICES = (
    Choice(),
    Choice(other_seeds=False),
    Choice(other_seeds=False, every_epoch=False),
    Choice(other_seeds=False, every_epoch=False, animations=False),
)


@dataclass(frozen=True)
class Line:
    """A row of the comparison: its cells, or in the row of examples the pictures."""

    row: Row
    arrow: str
    cells: list[Cell]
    pictures: list[list[Picture]] | None = None


@dataclass(frozen=True)
class Group:
    """Rows of the comparison that belong together."""

    title: str
    lines: list[Line]


@dataclass(frozen=True)
class ResultSet:
    """Everything that the page shows of one results folder."""

    name: str
    summary: str
    facts: list[tuple[str, str]]
    columns: list[str]
    groups: list[Group]
    runs: Runs
    sweep: Sweep | None
    galleries: list[tuple[str, list[Gallery]]]  # a contestant's title, and a gallery a seed
    plots: list[Exhibit]
    differences: list[Numbers]
    guidance: list[Numbers]
    confusions: list[Numbers]
    notes: list[str]
    missing: list[str]


def write_page(sets: list[tuple[Path, list[Record], list[str]]], command: str) -> str:
    """The page of some results folders, each with its records and the refusals; BadInput if it grows too large."""
    for choice in CHOICES:
        page = render([result_set(*each, choice) for each in sets], command)
        if (size := len(page.encode())) <= LIMIT:
            return page
    raise BadInput(f"the report would have {size / 1e6:.1f} MB, over {LIMIT / 1e6:.0f}: name fewer folders")


def result_set(out: Path, records: list[Record], refusals: list[str], choice: Choice) -> ResultSet:
    made, shelf = table(records), Shelf(out)
    runs = runs_table(made.columns)
    groups = list(grouped(made, shelf))
    sweep, galleries = exhibits.sweep(shelf, made.columns), list(all_galleries(shelf, made.columns, choice))
    plots = exhibits.plots(shelf)
    unmeasured = [f"measured by no run: {', '.join(runs.unmeasured)}"] if runs.unmeasured else []
    left_out = [f"left out to keep the file small: {what}" for what in exhibits.left_out(choice, made.columns)]
    return ResultSet(
        name=out.resolve().name,
        summary=setting.summary(records, refusals),
        facts=setting.facts(records),
        columns=[column.title for column in made.columns],
        groups=groups,
        runs=runs,
        sweep=sweep,
        galleries=galleries,
        plots=plots,
        differences=[
            each
            for effects in (made.differences.declared, made.differences.budgets, made.differences.attributes)
            for each in difference_numbers(effects)
        ],
        guidance=guidance_numbers(made.columns),
        confusions=confusion_numbers(made.columns),
        notes=[*setting.quality_notes(made.columns), *made.legend],
        missing=[*refusals, *shelf.notes(), *unmeasured, *left_out],
    )


def grouped(made: Table, shelf: Shelf) -> Iterator[Group]:
    """The rows that come first, as in every table, under the first heading; the rest of each section under its own."""
    for number, (section, rows) in enumerate(made.sections.items()):
        lines = []
        for row in made.headlines if number == 0 else [row for row in rows if row not in made.headlines]:
            pictures = [examples(column, shelf) for column in made.columns] if row.key == EXAMPLE else None
            lines.append(Line(row, ARROWS[row.better].strip(), made.cells(row), pictures))
        if lines:
            yield Group(section.value, lines)


def examples(column: Column, shelf: Shelf) -> list[Picture]:
    """An avatar by every seed of a contestant."""
    taken = [
        shelf.take(record.images.example, "the example", f"{column.title}, seed {record.run.seed}",
                   f"An avatar by {column.title}, seed {record.run.seed}")
        for record in exhibits.shown_records(column)
    ]  # fmt: skip
    return [picture for picture in taken if picture is not None]


def all_galleries(shelf: Shelf, columns: list[Column], choice: Choice) -> Iterator[tuple[str, list[Gallery]]]:
    for column in columns:
        records = exhibits.shown_records(column)
        kept = records if choice.other_seeds else records[:1]
        yield column.title, [exhibits.gallery(shelf, column.title, r, choice, r is kept[0]) for r in kept]


def words(text: str) -> Markup:
    """The little Markdown that legends and cells use, as HTML; everything else is escaped first."""
    safe = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", str(escape(text)))
    return Markup(re.sub(r"`(.+?)`", r"<code>\1</code>", safe))  # noqa: S704 - escaped above


def render(sets: list[ResultSet], command: str) -> str:
    """The page with its style and script inside; its policy allows these two by their hash, and no network."""
    loader = PackageLoader("bench.render", "page")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )  # fmt: skip
    environment.filters["words"] = words
    style, script = (loader.get_source(environment, f"page.{kind}")[0] for kind in ("css", "js"))
    return environment.get_template("page.html.jinja").render(
        sets=sets, command=command, record_keys=setting.RECORD_KEYS, style=Markup(style), script=Markup(script),
        style_hash=policy_hash(style), script_hash=policy_hash(script),
    )  # fmt: skip


def policy_hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
