"""The comparison table: a view of records, as Markdown, CSV, JSON or for the terminal."""

import statistics
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table as RichTable
from rich.text import Text

from bench.errors import printable
from bench.record import Record
from bench.render.markdown import Markdown, escape, markdown
from bench.render.table.column import Column, columns, seeds_of, timed
from bench.render.table.comparability import grouped, mark, reference_of
from bench.render.table.differences import Differences, differences
from bench.render.table.legend import legend, warnings
from bench.render.table.numbers import AT_BUDGETS, EXPLORED, difference_numbers
from bench.render.table.row import MISSING, Row, Section
from bench.render.table.rows import EXAMPLE, rows_of
from bench.storage.records import read_records

SCHEMA_VERSION = 1
ARROWS = {"lower": " ↓", "higher": " ↑", None: ""}  # which way is better


@dataclass(frozen=True)
class Cell:
    """What stands in the table, and the numbers behind it."""

    text: str
    value: Any = None  # a mean over seeds, a text, or None
    sd: float | None = None
    interval: list[float] | None = None  # over samples: of the only seed, or the same for all
    seeds: int = 0
    mark: str = ""  # the sign of a value that rests on something else than the first column's


def cell(row: Row, column: Column, reference: Record | None = None) -> Cell:
    """A row's cell of a contestant: seeds that do not compare stand apart, and what differs from the reference is
    marked. A failure says why.
    """
    records = timed(column.records) if row.rests_on == "time" else column.records
    measured = [record for record in records if row.read(record) is not None]
    failed = [record.error for record in column.records if record.status == "failed"]
    if not measured or len(failed) == len(column.records):
        return Cell(f"failed: {failed[0]}" if len(failed) == len(column.records) else MISSING)
    lost = f" ({len(failed)} of {len(column.records)} seeds failed)" if failed else ""
    if row.rests_on == "equal_time" and len(measured) + len(failed) < len(records):  # some have missed the time
        lost += f" ({len(measured)} of {len(records)} seeds)"
    groups = grouped(row.rests_on, measured)
    made = [pooled(row, group) for group in groups]
    marks = [mark(row.rests_on, group[0], reference) for group in groups]
    if len(groups) == 1:
        kind = type(made[0].text)  # Markdown stays Markdown
        return replace(made[0], text=kind(made[0].text + marks[0] + lost), mark=marks[0])
    apart = [f"{c.text}{sign} ({seeds_of(group)})" for c, sign, group in zip(made, marks, groups, strict=True)]
    return Cell(" / ".join(apart) + lost, seeds=len(measured), mark=max(marks))


def pooled(row: Row, records: list[Record]) -> Cell:
    """Mean ± standard deviation over seeds for numbers; what is the same for all seeds, with its interval over samples,
    shows that.
    """
    found = [row.read(record) for record in records]
    texts = [value for value in found if isinstance(value, str)]
    values = [value for value in found if isinstance(value, (int, float))]
    if texts:
        different = list(dict.fromkeys(texts))  # a seed that differs is not hidden
        text = different[0] if len(different) == 1 else joined(different)
        return Cell(text, text, seeds=len(texts))
    alike = len(set(values)) == 1  # one seed, or the same for every seed: then it may be no estimate of theirs
    mean = values[0] if alike else statistics.fmean(values)
    intervals = [] if row.interval is None else [row.interval(record) for record in records]
    if alike and all(each == intervals[0] for each in intervals):
        limits = intervals[0] if intervals else None
        between = "" if limits is None else f" ({row.write(limits[0])} to {row.write(limits[1])})"
        return Cell(row.write(mean) + between, mean, interval=limits, seeds=len(values))
    sd = statistics.stdev(values)
    return Cell(f"{row.write(mean)} ± {row.write(sd)}", mean, sd, seeds=len(values))


def joined(values: list[Any]) -> str:
    """Texts of several seeds in one cell; Markdown, if they are."""
    kind = Markdown if all(isinstance(value, Markdown) for value in values) else str
    return kind(" / ".join(map(str, values)))


@dataclass(frozen=True)
class Table:
    """The whole comparison: rows in sections, columns, cells, and what has to be said about them."""

    rows: list[Row]  # by section
    columns: list[Column]
    warnings: list[str]  # what does not compare, and what is not to be believed
    legend: list[str]  # the warnings, then what the numbers rest on
    differences: Differences  # paired by seed

    @property
    def sections(self) -> dict[Section, list[Row]]:
        """The rows of each section that has any, in their order."""
        found = {section: [row for row in self.rows if row.section is section] for section in Section}
        return {section: rows for section, rows in found.items() if rows}

    @property
    def headlines(self) -> list[Row]:
        """The blog post's ten rows, and those that are shown with them."""
        return [row for row in self.rows if row.section is Section.POST or row.headline]

    def cells(self, row: Row) -> list[Cell]:
        return [cell(row, column, reference_of(self.columns)) for column in self.columns]

    def to_markdown(self) -> str:
        """The headlines, the differences, the legend, and every further section whole, folded."""
        declared = [part for each in difference_numbers(self.differences.declared) for part in each.in_markdown()]
        notes = "\n".join(f"- {escape(line)}" for line in self.legend)
        return "\n\n".join([self.markdown_of(self.headlines), *declared, notes, *self.folded()]) + "\n"

    def folded(self) -> list[str]:
        """Every section but the first, and the differences at other budgets and of single attributes."""
        parts = [
            (f"{section.value}: all rows", self.markdown_of(rows))
            for section, rows in self.sections.items()
            if section is not Section.POST
        ]
        for title, effects in ((AT_BUDGETS, self.differences.budgets), (EXPLORED, self.differences.attributes)):
            explored = [part for each in difference_numbers(effects) for part in each.in_markdown()]
            parts += [(title, "\n\n".join(explored))] * bool(explored)
        return [f"<details>\n<summary>{title}</summary>\n\n{body}\n\n</details>" for title, body in parts]

    def markdown_of(self, rows: list[Row]) -> str:
        header = ["", *(column.title for column in self.columns)]
        return markdown(header, [[row.label + ARROWS[row.better], *(c.text for c in self.cells(row))] for row in rows])

    def to_csv(self) -> str:
        return self.to_frame().to_csv()

    def to_frame(self) -> pd.DataFrame:
        """The values behind the cells, raw: a line a row with its unit, and a column a contestant."""
        units = {"unit": [row.unit for row in self.rows]}
        return pd.DataFrame(
            units | {column.title: [cell(row, column).value for row in self.rows] for column in self.columns},
            index=pd.Index([row.label for row in self.rows], name="measure"),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "columns": [column.title for column in self.columns],
            "rows": [
                {
                    "key": row.key,
                    "section": row.section.key,
                    "measure": row.label,
                    "better": row.better,
                    "unit": row.unit,
                    "meaning": row.meaning,
                    "values": {
                        column.title: asdict(c) for column, c in zip(self.columns, self.cells(row), strict=True)
                    },
                }
                for row in self.rows
            ],
            "differences": self.differences.to_json(),
            "warnings": self.warnings,
            "legend": self.legend,
        }

    def to_rich(self, all_rows: bool = False) -> RichTable:
        """The headlines, or all rows, for a terminal."""
        table = RichTable(highlight=False)
        table.add_column("", no_wrap=True)
        for column in self.columns:
            table.add_column(terminal(column.title), overflow="fold")
        for row in self.rows if all_rows else self.headlines:
            if row.key != EXAMPLE:
                cells = (row.label + ARROWS[row.better], *(c.text for c in self.cells(row)))
                table.add_row(*map(terminal, cells))
        return table


def terminal(text: str) -> Text:
    """A text as it stands: neither rich nor a terminal takes any of it for a command."""
    return Text(printable(text))


def table(records: list[Record]) -> Table:
    """The table of a set of records."""
    made = columns(records)
    found = differences(made)
    return Table(rows_of(made, found), made, warnings(made), legend(made), found)


def table_of(folder: str | Path) -> pd.DataFrame:
    """The table of a results folder as a data frame; BadInput if a record of it cannot be read."""
    return table(read_records(Path(folder))).to_frame()
