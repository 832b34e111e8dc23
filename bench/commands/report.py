"""`bench report`: one HTML file of records, pictures and plots."""

import argparse
from pathlib import Path

from bench.commands.output import emit
from bench.errors import BadInput
from bench.storage import durable
from bench.storage.folder import ResultsFolder


def add(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "One HTML file, whole in itself, of records and the pictures beside them. A record that cannot be read is "
        "named on stderr and on the page, the others are shown, and the exit status is 1."
    )
    parser.set_defaults(command=run)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="results folders")
    parser.add_argument(
        "--out", type=Path, metavar="FILE.html", help="default: report.html in DIR, or beside the first of several"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the page; 1 if a record had to be left out of it."""
    first, *others = arguments.folders
    out = arguments.out or ResultsFolder(first.parent if others else first).report
    if out.suffix != ".html" or out.is_dir():
        raise BadInput(f"--out '{out}' is no .html file")
    if arguments.out is not None and not out.absolute().parent.is_dir():
        raise BadInput(f"--out '{out}' lies in no folder that is there: make it first")

    from bench.record import readable_records, refused
    from bench.render.report.report import checked, write_page

    sets = [(folder, *readable_records(folder, checked)) for folder in arguments.folders]
    durable.write_text(out, write_page(sets, shown_command(arguments.folders)))
    emit(str(out))
    return refused([refusal for _, _, refusals in sets for refusal in refusals])


def shown_command(folders: list[Path]) -> str:
    """The command as it can be typed again, no path of this machine in it."""
    return " ".join(["python -m bench report", *(f.name if f.is_absolute() else str(f) for f in folders)])
