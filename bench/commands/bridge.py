"""`bench bridge`: what each change from the hand-written UNet to the library's costs."""

import argparse

from bench.commands.arguments import new_png
from bench.commands.output import emit_json, emit_lines
from bench.commands.turns import add_turns, check_turns, timing_of
from bench.config import contestant_names


def add(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=run)
    parser.add_argument(
        "--plot", type=new_png, metavar="FILE.png", help="draw how many times each change multiplies a cost"
    )
    parser.add_argument(
        "--others",
        default="diffusers-32",
        help="contestants to hold against scratch beside the changes (default diffusers-32)",
    )
    add_turns(parser)


def run(arguments: argparse.Namespace) -> int:
    check_turns(arguments)
    others = contestant_names(arguments.others)

    from bench.cost.bridge import bridge
    from bench.render.bridge import bridge_lines
    from bench.render.images.bridge import draw_bridge
    from bench.storage import durable

    document = bridge(timing_of(arguments), others)
    if arguments.json:
        emit_json(document)
    else:
        emit_lines(bridge_lines(document))
    if arguments.plot is not None:
        durable.write_bytes(arguments.plot, draw_bridge(document))
    return 0
