"""`bench anatomy`: what a model costs, at any size, without the memory for it."""

import argparse
from pathlib import Path

from bench.commands.arguments import (
    memory_size,
    new_png,
    positive_float,
    positive_int,
    rate,
)
from bench.commands.output import emit, emit_json, emit_lines, emit_rich
from bench.config import DEFAULT_CONTESTANTS, contestant_names


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
    parser.add_argument("--plot", type=new_png, metavar="FILE.png", help="draw the memory by kind and level")
    parser.add_argument(
        "--walk", type=Path, metavar="FILE.md",
        help="only this: write every block of scratch and diffusers-32, full size, between the markers of a page",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    if arguments.walk is not None:
        return write_walk_through(arguments.walk)

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


def write_walk_through(path: Path) -> int:
    """Write the walk-through's tables and picture; the page is read first, as the models take seconds."""
    from bench.render.walk import read_page, write_walk

    page = read_page(path)
    from bench.cost.account import published
    from bench.cost.walk import walk

    ours, library = (walk(name, published(batch_size=128)) for name in DEFAULT_CONTESTANTS.split(","))
    write_walk(path, page, ours, library)
    emit(str(path))
    return 0
