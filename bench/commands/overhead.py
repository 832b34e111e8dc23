"""`bench overhead`: what the harness itself costs, against a bare loop."""

import argparse
from pathlib import Path

from bench.commands.arguments import (
    positive_int,
)
from bench.commands.output import emit_json, emit_lines
from bench.config import PRESETS, contestant_names
from bench.errors import BadInput, known


def add(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=run)
    parser.add_argument("--preset", default="laptop", help=f"whose sizes: one of {', '.join(PRESETS)}")
    parser.add_argument(
        "--contestant", default="scratch", help="one name (default scratch: the fastest shows the most)"
    )
    parser.add_argument("--rounds", type=positive_int, default=9, help="at least 7 (default 9)")
    parser.add_argument("--steps", type=positive_int, default=15, help="of each kind a round (default 15)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    parser.add_argument("--cache", type=Path, help="data cache, as for run")
    parser.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    known(arguments.preset, tuple(PRESETS), "preset")
    (contestant, *others) = contestant_names(arguments.contestant)
    if others:
        raise BadInput("--contestant takes one name")
    if arguments.rounds < 7:
        raise BadInput(f"--rounds {arguments.rounds} is too few for an interval: at least 7")

    from bench.cost.overhead import overhead
    from bench.data.library import default_cache
    from bench.environment import choose_device
    from bench.render.overhead import overhead_lines

    document = overhead(
        arguments.preset,
        contestant,
        arguments.rounds,
        arguments.steps,
        choose_device(arguments.device),
        arguments.cache or default_cache(),
    )
    if arguments.json:
        emit_json(document)
    else:
        emit_lines(overhead_lines(document))
    return 0
