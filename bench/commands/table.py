"""`bench table`: the comparison table again, from records."""

import argparse
import sys
from pathlib import Path

from bench.commands.output import emit, emit_json, emit_lines, emit_rich
from bench.errors import BadInput


def add(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=run)
    parser.add_argument("folders", nargs="*", type=Path, metavar="DIR")
    parser.add_argument("--format", default=None, choices=("md", "csv", "json"), help="default: drawn for the terminal")
    parser.add_argument("--all-rows", action="store_true", help="print every row on the terminal (files have them all)")
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of a record instead; needs no DIR")


def run(arguments: argparse.Namespace) -> int:
    """Print the table, or the schema of its records; 1 if a record had to be left out of it."""
    if arguments.schema:
        from bench.record import Record

        emit_json(Record.model_json_schema())
        return 0
    if not arguments.folders:
        raise BadInput("which results? Name a folder that `python -m bench run` wrote, or --schema")

    from bench.render.table.table import table
    from bench.storage.records import each_once, readable_records, refused

    found = [(folder.name, *readable_records(folder)) for folder in arguments.folders]
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
