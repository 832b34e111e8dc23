"""`bench doctor`: whether this machine computes rightly, how fast, and what is missing."""

import argparse

from bench.commands.output import emit_json, emit_lines
from bench.config import DEFAULT_CONTESTANTS, contestant_names


def add(parser: argparse.ArgumentParser) -> None:
    parser.description = "One screen about this machine, in about a minute; status 1 if it computes wrongly."
    parser.set_defaults(command=run)
    parser.add_argument("--contestants", default=DEFAULT_CONTESTANTS, help="names, 'all', or package.module:function")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    parser.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    names = contestant_names(arguments.contestants)

    from bench.environment import choose_device

    device = choose_device(arguments.device)  # before what takes seconds to import

    from bench import contestants
    from bench.cost.doctor import doctor
    from bench.render.doctor import doctor_lines

    document = doctor([contestants.contestant(name).name for name in names], device)
    if arguments.json:
        emit_json(document)
    else:
        emit_lines(doctor_lines(document))
    return 1 if document["wrong"] else 0
