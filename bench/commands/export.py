"""`bench export`: a trained model as a pipeline that diffusers loads."""

import argparse
from pathlib import Path

from bench.commands.output import emit


def add(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=run)
    parser.add_argument("run", type=Path, metavar="RUN", help="a results folder with its .work")
    parser.add_argument("folder", type=Path, metavar="DIR", help="a new folder for the pipeline and its model card")
    parser.add_argument("--contestant", required=True)
    parser.add_argument("--recipe", default="matched", help="of the runs (default matched)")
    parser.add_argument("--seed", type=int, help="of the training run (default: the first found)")


def run(arguments: argparse.Namespace) -> int:
    from diffusers.utils.logging import disable_progress_bar

    from bench.inference.export import export

    disable_progress_bar()  # it would stand before an error's one line
    export(arguments.run, arguments.contestant, arguments.recipe, arguments.seed, arguments.folder)
    emit(str(arguments.folder))
    return 0
