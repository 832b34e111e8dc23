"""`bench table`: the comparison table again, from records."""

import argparse
import sys
from pathlib import Path

from bench.commands.output import emit, emit_json, emit_lines, emit_rich


def add(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=run)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--format", default=None, choices=("md", "csv", "json"), help="default: drawn for the terminal")
    parser.add_argument("--all-rows", action="store_true", help="print every row on the terminal (files have them all)")


def run(arguments: argparse.Namespace) -> int:
    """Print the table; 1 if a record had to be left out of it."""
    from bench.record import each_once, readable_records, refused
    from bench.render.table.table import drawable, table

    found = [(folder.name, *readable_records(folder, drawable)) for folder in arguments.folders]
    records, repeated = each_once([(f"{name}/{r.run.name}", r) for name, records, _ in found for r in records])
    made = table(records)
    if arguments.format == "json":
        emit_json(made.to_json())
    elif arguments.format == "csv":
        emit(made.to_csv(), end="")
        print("".join(f"{line}\n" for line in made.warnings), end="", file=sys.stderr)
    elif arguments.format == "md":
        emit(made.to_markdown(), end="")
    else:
        emit_rich(made.to_rich(arguments.all_rows))
        emit_lines(f"- {line}" for line in made.legend)
        if not arguments.all_rows:
            emit(f"{len(made.headlines)} of {len(made.rows)} rows; --all-rows prints all.")
    return refused([*(refusal for *_, refusals in found for refusal in refusals), *repeated])
