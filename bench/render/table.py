"""The comparison table: a view of records, as Markdown, CSV, JSON or for the terminal."""

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table as RichTable

from bench import durable
from bench.config import CONTESTANTS
from bench.record import Record
from bench.render.legend import MISSING, legend
from bench.render.row import Row
from bench.render.rows import MEASURED_ROWS, SOURCE_ROWS, attribute_rows

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Column:
    """One contestant under one recipe: its records, one a seed."""

    title: str
    records: list[Record]


def place(record: Record) -> int:
    """The source's order of contestants; a user's own come after them."""
    name = record.run.contestant
    return CONTESTANTS.index(name) if name in CONTESTANTS else len(CONTESTANTS)


def columns(records: list[Record]) -> list[Column]:
    """The records that differ in nothing but the seed, together; the source's contestants first."""
    grouped: dict[str, list[Record]] = {}
    for record in sorted(records, key=place):
        own = {key: value for key, value in record.config.items() if key not in ("seed", "memory_format")}
        grouped.setdefault(json.dumps(own, sort_keys=True), []).append(record)
    groups = list(grouped.values())
    told = [read for read in (recipe_of, preset_of) if len({read(group[0]) for group in groups}) > 1]
    titles = []
    for group in groups:
        words = ", ".join(read(group[0]) for read in told)
        titles.append(group[0].run.contestant + (f" ({words})" if words else ""))
    return [
        Column(title if titles.count(title) == 1 else f"{title} #{titles[: i + 1].count(title)}", by_seed(group))
        for i, (title, group) in enumerate(zip(titles, groups, strict=True))
    ]


def recipe_of(record: Record) -> str:
    return record.run.recipe.name


def preset_of(record: Record) -> str:
    return record.run.preset


def by_seed(records: list[Record]) -> list[Record]:
    return sorted(records, key=lambda record: record.run.seed)


@dataclass(frozen=True)
class Cell:
    """What stands in the table, and the numbers behind it."""

    text: str
    value: Any = None  # a mean over seeds, a text, or None
    sd: float | None = None
    seeds: int = 0


def cell(row: Row, column: Column) -> Cell:
    """Mean ± standard deviation over seeds for numbers; one seed shows no ±, and a failure says why."""
    values = [value for record in column.records if (value := row.read(record)) is not None]
    failed = [record.error for record in column.records if record.status == "failed"]
    if not values or len(failed) == len(column.records):
        return Cell(f"failed: {failed[0]}" if len(failed) == len(column.records) else MISSING)
    lost = f" ({len(failed)} of {len(column.records)} seeds failed)" if failed else ""
    if isinstance(values[0], str):
        return Cell(values[0] + lost, values[0], seeds=len(values))
    mean = values[0] if len(set(values)) == 1 else statistics.fmean(values)
    if len(values) == 1 or isinstance(mean, int):
        return Cell(row.write(mean) + lost, mean, seeds=len(values))
    sd = statistics.stdev(values)
    return Cell(f"{row.write(mean)} ± {row.write(sd)}{lost}", mean, sd, len(values))


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
        lines += [[row.label, *(escape(c.text) for c in self.cells(row))] for row in self.rows]
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
                        column.title: {"value": c.value, "sd": c.sd, "seeds": c.seeds, "text": c.text}
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
                table.add_row(row.label, *(c.text for c in self.cells(row)))
        return table


def escape(text: str) -> str:
    return text.replace("|", "\\|")


def table(records: list[Record]) -> Table:
    """The table of a set of records."""
    rows = SOURCE_ROWS + MEASURED_ROWS + attribute_rows(records)
    return Table(rows, columns(records), legend(records))


def write_table(out: Path, records: list[Record]) -> Table:
    """Draw `table.md` of a results folder from its records."""
    made = table(records)
    durable.write_text(out / "table.md", made.to_markdown())
    return made
