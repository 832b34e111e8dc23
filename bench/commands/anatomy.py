"""`bench anatomy`: what a model costs, at any size, without the memory for it."""

import argparse
from pathlib import Path

from bench.commands.arguments import (
    memory_size,
    positive_float,
    positive_int,
    rate,
)
from bench.commands.output import emit_json, emit_lines, emit_rich
from bench.config import contestant_names
from bench.errors import BadInput


def add(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=run)
    parser.add_argument("--contestants", default="all", help="names, or package.module:function (default all of ours)")
    parser.add_argument("--image-size", type=positive_int, default=64, help="height and width (default 64)")
    parser.add_argument("--batch-size", type=positive_int, default=128, help="images of a step (default 128)")
    parser.add_argument("--scale", type=positive_float, default=1.0, help="of the published channels (default 1)")
    parser.add_argument("--mixed-precision", default="no", choices=("no", "bf16"), help="autocast (default no)")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"), help="whose rules for bf16 (default cuda)")
    parser.add_argument("--gradient-checkpointing", action="store_true", help="compute activations again, keep fewer")
    parser.add_argument("--memory", type=memory_size, metavar="24GiB", help="find the largest batch that fits")
    parser.add_argument("--peak", type=rate, metavar="GFLOP/s", help="for the time floor: a number, or 'measured'")
    parser.add_argument("--check", action="store_true", help="hold the predicted peak against real, scaled steps")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the memory by kind and level")
    parser.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    if arguments.plot is not None and not arguments.plot.absolute().parent.is_dir():
        raise BadInput(f"--plot '{arguments.plot}' lies in no folder that is there: make it first")
    if arguments.plot is not None and arguments.plot.suffix != ".png":
        raise BadInput(f"--plot '{arguments.plot}' is not a .png")

    from bench.cost.anatomy import Question, anatomy
    from bench.render.anatomy import anatomy_table, draw_anatomy, notes

    question = Question(
        contestant_names(arguments.contestants),
        arguments.image_size,
        arguments.batch_size,
        arguments.scale,
        arguments.mixed_precision,
        arguments.device,
        arguments.gradient_checkpointing,
        arguments.memory,
        arguments.peak,
        arguments.check,
    )
    document = anatomy(question)
    if arguments.json:
        emit_json(document)
    else:
        emit_rich(anatomy_table(document))
        emit_lines(f"- {note}" for note in notes(document))
    if arguments.plot is not None:
        draw_anatomy(document, arguments.plot)
    return 0
