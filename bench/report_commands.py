"""The commands that show what was measured: report, pictures, overview. The work is imported late."""

import argparse
import sys
from pathlib import Path

from bench import durable
from bench.errors import BadInput


def add_report(report: argparse.ArgumentParser) -> None:
    report.description = (
        "One HTML file, whole in itself, of records and the pictures beside them. A record that cannot be read is "
        "named on stderr and on the page, the others are shown, and the exit status is 1."
    )
    report.set_defaults(command=report_command)
    report.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="results folders")
    report.add_argument("--out", type=Path, metavar="FILE.html", help="default: report.html in the first DIR")


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
    out = arguments.out or arguments.folders[0] / "report.html"
    if out.suffix != ".html" or out.is_dir():
        raise BadInput(f"--out '{out}' is no .html file")
    if arguments.out is not None and not out.absolute().parent.is_dir():
        raise BadInput(f"--out '{out}' lies in no folder that is there: make it first")

    from bench.render.report import readable_records, write_page

    sets = [(folder, *readable_records(folder)) for folder in arguments.folders]
    durable.write_text(out, write_page(sets, shown_command(arguments.folders)))
    print(out)
    refusals = [refusal for _, _, refused in sets for refusal in refused]
    for refusal in refusals:
        print(f"bench: {refusal}", file=sys.stderr)
    return 1 if refusals else 0


def shown_command(folders: list[Path]) -> str:
    """The command as it can be typed again, no path of this machine in it."""
    return " ".join(["python -m bench report", *(f.name if f.is_absolute() else str(f) for f in folders)])


def pictures_command(arguments: argparse.Namespace) -> int:
    from bench.redraw import redraw

    for folder in arguments.folders:
        for line in redraw(folder):
            print(f"{folder.name}: {line}", file=sys.stderr)
        print(folder / "images")
    return 0


def overview_command(arguments: argparse.Namespace) -> int:
    from bench.render.overview import write_overview

    print(write_overview(arguments.folder))
    return 0
