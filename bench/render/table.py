"""The comparison table: a view of records, as Markdown, CSV, JSON or for the terminal."""

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table as RichTable

from bench import durable
from bench.record import Record
from bench.render.column import Column, columns
from bench.render.legend import MISSING, legend
from bench.render.quality import write_quality
from bench.render.row import Row
from bench.render.rows import rows_of

SCHEMA_VERSION = 1
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
    if isinstance(values[0], str):
        text = " / ".join(dict.fromkeys(values))  # a seed that differs is not hidden
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


@dataclass(frozen=True)
class Table:
    """The whole comparison: rows, columns, cells, and what has to be said about them."""

    rows: list[Row]
    columns: list[Column]
    legend: list[str]

    def cells(self, row: Row) -> list[Cell]:
        return [cell(row, column) for column in self.columns]

    def to_markdown(self) -> str:
        lines = [["", *(column.title for column in self.columns)], [":---", *[":---"] * len(self.columns)]]
        lines += [[row.label + ARROWS[row.better], *(escape(c.text) for c in self.cells(row))] for row in self.rows]
        body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return body + "\n\n" + "\n".join(f"- {line}" for line in self.legend) + "\n"

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
            table.add_column(column.title)
        for row in self.rows:
            if row.label != "example":
                table.add_row(row.label + ARROWS[row.better], *(c.text for c in self.cells(row)))
        return table


def escape(text: str) -> str:
    return text.replace("|", "\\|")


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
