"""`bench overview`: the README of a folder of result sets."""

import argparse
from pathlib import Path

from bench.commands.output import emit


def add(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=run)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("results"), metavar="DIR", help="default results")


def run(arguments: argparse.Namespace) -> int:
    """Write the README of a folder of result sets; 1 if a record had to be left out of it."""
    from bench.record import refused
    from bench.render.report.overview import write_overview

    path, refusals = write_overview(arguments.folder)
    emit(str(path))
    return refused(refusals)
