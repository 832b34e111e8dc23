"""`bench bridge`: what each change from the hand-written UNet to the library's costs."""

import argparse

from bench.commands.arguments import new_png
from bench.commands.output import emit_json, emit_lines
from bench.commands.turns import add_turns, check_turns, timing_of
from bench.config import CHANGES, contestant_names
from bench.errors import BadInput, known


def add(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=run)
    parser.add_argument(
        "--plot", type=new_png, metavar="FILE.png", help="draw how many times each change multiplies a cost"
    )
    parser.add_argument(
        "--others",
        default="diffusers-32",
        help="contestants to hold against scratch beside the changes, and against the first of them "
        "(default diffusers-32)",
    )
    parser.add_argument(
        "--changes",
        default="all",
        help=f"'all', 'none' (only scratch, twin-32 and --others), or some of {', '.join(CHANGES)}",
    )
    add_turns(parser)


def run(arguments: argparse.Namespace) -> int:
    check_turns(arguments)
    others, changes = contestant_names(arguments.others), changes_of(arguments.changes)
    if not changes and arguments.plot is not None:
        raise BadInput("--plot draws changes: leave it out, or ask for some with --changes")

    from bench.cost.bridge import bridge
    from bench.render.bridge import bridge_lines
    from bench.render.images.bridge import draw_bridge
    from bench.storage import durable

    document = bridge(timing_of(arguments), others, changes)
    if arguments.json:
        emit_json(document)
    else:
        emit_lines(bridge_lines(document))
    if arguments.plot is not None:
        durable.write_bytes(arguments.plot, draw_bridge(document))
    return 0


def changes_of(text: str) -> list[str]:
    """`all`, `none` or `tau,heads` to names, in the order of the bridge; BadInput for one that there is not."""
    if text in ("all", "none"):
        return [change for change in CHANGES if text == "all"]
    asked = {known(name.strip(), CHANGES, "change") for name in text.split(",")}
    return [change for change in CHANGES if change in asked]
