"""`bench pictures`: the pictures of a results folder, drawn again."""

import argparse
import sys
from pathlib import Path

from bench.commands.output import emit
from bench.storage.folder import ResultsFolder


def add(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=run)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="results folders")


def run(arguments: argparse.Namespace) -> int:
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
