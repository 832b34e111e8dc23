"""The commands that show what was measured: report, pictures, overview. The work is imported late."""

import argparse
import sys
from pathlib import Path

from bench.commands.output import emit
from bench.errors import BadInput
from bench.storage import durable
from bench.storage.folder import ResultsFolder


def add_report(report: argparse.ArgumentParser) -> None:
    report.description = (
        "One HTML file, whole in itself, of records and the pictures beside them. A record that cannot be read is "
        "named on stderr and on the page, the others are shown, and the exit status is 1."
    )
    report.set_defaults(command=report_command)
    report.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="results folders")
    report.add_argument(
        "--out", type=Path, metavar="FILE.html", help="default: report.html in DIR, or beside the first of several"
    )


def add_pictures(pictures: argparse.ArgumentParser) -> None:
    pictures.set_defaults(command=pictures_command)
    pictures.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="results folders")


def add_overview(overview: argparse.ArgumentParser) -> None:
    overview.set_defaults(command=overview_command)
    overview.add_argument(
        "folder", nargs="?", type=Path, default=Path("results"), metavar="DIR", help="default results"
    )


def report_command(arguments: argparse.Namespace) -> int:
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


def pictures_command(arguments: argparse.Namespace) -> int:
    """Draw pictures and plots again; 1 if a record could not be read, while what cannot be drawn is only named."""
    from bench.inference.redraw import redraw
    from bench.record import refused

    refusals = []
    for folder in arguments.folders:
        missing, unreadable = redraw(folder)
        refusals += unreadable
        for line in missing:
            print(f"{folder.name}: {line}", file=sys.stderr)
        emit(str(ResultsFolder(folder).images))
    return refused(refusals)


def overview_command(arguments: argparse.Namespace) -> int:
    """Write the README of a folder of result sets; 1 if a record had to be left out of it."""
    from bench.record import refused
    from bench.render.report.overview import write_overview

    path, refusals = write_overview(arguments.folder)
    emit(str(path))
    return refused(refusals)
