"""`bench implementation`: the same model by hand and from the library, one step of each in turn."""

import argparse

from bench.commands.output import emit_json, emit_lines
from bench.commands.turns import add_turns, check_turns, timing_of
from bench.config import TWINS
from bench.errors import BadInput, known


def add(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=run)
    parser.add_argument("--twins", default=",".join(TWINS), help=f"some of {', '.join(TWINS)} (default all)")
    add_turns(parser)


def run(arguments: argparse.Namespace) -> int:
    named = [name.strip() for name in arguments.twins.split(",") if name.strip()]
    twins = [known(name, tuple(TWINS), "twin") for name in dict.fromkeys(named)]
    if not twins:
        raise BadInput(f"--twins names none: choose from {', '.join(TWINS)}")
    check_turns(arguments)

    from bench.cost.implementation import implementation
    from bench.render.implementation import implementation_lines

    document = implementation(twins, timing_of(arguments))
    if arguments.json:
        emit_json(document)
    else:
        emit_lines(implementation_lines(document))
    return 0
