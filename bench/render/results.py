"""What is drawn of a results folder whenever its records change: the table, and the page on quality with its plots."""

from pathlib import Path

from bench.record import Record
from bench.render.report.quality import write_quality
from bench.render.table.table import Table, table
from bench.storage import durable
from bench.storage.folder import ResultsFolder


def write_results(out: Path, records: list[Record]) -> Table:
    """Draw `table.md` and `quality.md` of a results folder from its records."""
    made = table(records)
    durable.write_text(ResultsFolder(out).table, made.to_markdown())
    write_quality(out, records)
    return made
