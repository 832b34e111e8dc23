"""The comparison table: a view of records, as Markdown, CSV, JSON or for the terminal."""

import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table as RichTable
from rich.text import Text

from bench import durable
from bench.errors import BadInput
from bench.record import Record, read_record
from bench.render.column import Column, columns
from bench.render.legend import MISSING, legend
from bench.render.markdown import Markdown, escape, markdown
from bench.render.quality import write_quality
from bench.render.row import Row
from bench.render.rows import rows_of
from bench.text import line_of, printable

SCHEMA_VERSION = 1
# What a record of another's making may raise where a number is a text, or a field is missing.
ODD = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
ARROWS = {"lower": " ↓", "higher": " ↑", None: ""}  # which way is better


@dataclass(frozen=True)
class Cell:
    """What stands in the table, and the numbers behind it."""

    text: str
    value: Any = None  # a mean over seeds, a text, or None
    sd: float | None = None
    interval: list[float] | None = None  # over the samples of the only seed
    seeds: int = 0


def cell(row: Row, column: Column) -> Cell:
    """Mean ± standard deviation over seeds for numbers; one seed shows its interval over samples, if it has one.

    A failure says why.
    """
    values = [value for record in column.records if (value := row.read(record)) is not None]
    failed = [record.error for record in column.records if record.status == "failed"]
    if not values or len(failed) == len(column.records):
        return Cell(f"failed: {failed[0]}" if len(failed) == len(column.records) else MISSING)
    lost = f" ({len(failed)} of {len(column.records)} seeds failed)" if failed else ""
    if any(isinstance(value, str) for value in values):
        different = list(dict.fromkeys(values))  # a seed that differs is not hidden
        text = different[0] if len(different) == 1 else joined(different)
        return Cell(text + lost, text, seeds=len(values))
    mean = values[0] if len(set(values)) == 1 else statistics.fmean(values)
    counted = len(set(values)) == 1 and row.interval is None  # the same for every seed: nothing was estimated
    if len(values) == 1 or counted or isinstance(mean, int):
        (shown,) = [r for r in column.records if row.read(r) is not None] if len(values) == 1 else [None]
        limits = row.interval(shown) if row.interval is not None and shown is not None else None
        between = "" if limits is None else f" ({row.write(limits[0])} to {row.write(limits[1])})"
        return Cell(row.write(mean) + between + lost, mean, interval=limits, seeds=len(values))
    sd = statistics.stdev(values)
    return Cell(f"{row.write(mean)} ± {row.write(sd)}{lost}", mean, sd, seeds=len(values))


def joined(values: list[Any]) -> str:
    """Texts of several seeds in one cell; Markdown, if they are."""
    kind = Markdown if all(isinstance(value, Markdown) for value in values) else str
    return kind(" / ".join(map(str, values)))


@dataclass(frozen=True)
class Table:
    """The whole comparison: rows, columns, cells, and what has to be said about them."""

    rows: list[Row]
    columns: list[Column]
    legend: list[str]

    def cells(self, row: Row) -> list[Cell]:
        return [cell(row, column) for column in self.columns]

    def to_markdown(self) -> str:
        header = ["", *(column.title for column in self.columns)]
        rows = [[row.label + ARROWS[row.better], *(c.text for c in self.cells(row))] for row in self.rows]
        return markdown(header, rows) + "\n\n" + "\n".join(f"- {escape(line)}" for line in self.legend) + "\n"

    def to_csv(self) -> str:
        units = {"unit": [row.unit for row in self.rows]}
        frame = pd.DataFrame(
            units | {column.title: [cell(row, column).value for row in self.rows] for column in self.columns},
            index=pd.Index([row.label for row in self.rows], name="measure"),
        )
        return frame.to_csv()

    def to_json(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "columns": [column.title for column in self.columns],
            "rows": [
                {
                    "measure": row.label,
                    "better": row.better,
                    "unit": row.unit,
                    "meaning": row.meaning,
                    "values": {
                        column.title: {
                            "value": c.value,
                            "sd": c.sd,
                            "interval": c.interval,
                            "seeds": c.seeds,
                            "text": c.text,
                        }
                        for column, c in zip(self.columns, self.cells(row), strict=True)
                    },
                }
                for row in self.rows
            ],
            "legend": self.legend,
        }

    def to_rich(self) -> RichTable:
        table = RichTable(highlight=False)
        table.add_column("", no_wrap=True)
        for column in self.columns:
            table.add_column(terminal(column.title))
        for row in self.rows:
            if row.label != "example":
                cells = (row.label + ARROWS[row.better], *(c.text for c in self.cells(row)))
                table.add_row(*map(terminal, cells))
        return table


def terminal(text: str) -> Text:
    """A text as it stands: neither rich nor a terminal takes any of it for a command."""
    return Text(printable(text))


def drawable(path: Path) -> Record:
    """A record that can be shown; BadInput that names the row where one made elsewhere holds what cannot be."""
    record = read_record(path)
    rival = replace(record, config=record.config | {"contestant": "itself under another name"})
    row = None
    try:
        made = table([record, rival])
        for row in made.rows:
            made.cells(row)
            if row.write is not str and isinstance(found := row.read(record), str):
                raise TypeError(f"{found!r} where a number belongs")
    except ODD as error:
        where = "" if row is None else f" in the row '{row.label}'"
        why = f"record {path.name} cannot be shown{where} ({line_of(error)}): delete it and run again"
        raise BadInput(why) from error
    return record


def table(records: list[Record]) -> Table:
    """The table of a set of records."""
    made = columns(records)
    return Table(rows_of(made), made, legend(records))


def write_table(out: Path, records: list[Record]) -> Table:
    """Draw `table.md` of a results folder from its records, and `quality.md` beside it."""
    made = table(records)
    durable.write_text(out / "table.md", made.to_markdown())
    write_quality(out, records)
    return made
