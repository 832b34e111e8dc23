"""`bench implementation`: the same model by hand and from the library, one step of each in turn."""

import argparse
from pathlib import Path

from bench.commands.arguments import positive_int
from bench.commands.output import emit_json, emit_lines
from bench.config import PRESETS, TWINS
from bench.errors import BadInput, known


def add(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=run)
    parser.add_argument("--preset", default="laptop", help=f"whose sizes: one of {', '.join(PRESETS)}")
    parser.add_argument("--twins", default=",".join(TWINS), help=f"some of {', '.join(TWINS)} (default all)")
    parser.add_argument("--rounds", type=positive_int, default=9, help="at least 7 (default 9)")
    parser.add_argument("--steps", type=positive_int, default=4, help="of each version a round (default 4)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    parser.add_argument("--memory-format", choices=("channels_last", "contiguous"), help="default: the device's faster")
    parser.add_argument("--cache", type=Path, help="data cache, as for run")
    parser.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    known(arguments.preset, tuple(PRESETS), "preset")
    asked = [name.strip() for name in arguments.twins.split(",") if name.strip()]
    twins = [known(name, tuple(TWINS), "twin") for name in dict.fromkeys(asked)]
    if not twins:
        raise BadInput(f"--twins names none: choose from {', '.join(TWINS)}")
    if arguments.rounds < 7:
        raise BadInput(f"--rounds {arguments.rounds} is too few for an interval: at least 7")

    from bench.cost.check import LAYOUTS
    from bench.cost.implementation import implementation
    from bench.data.library import default_cache
    from bench.environment import choose_device
    from bench.render.implementation import implementation_lines

    device = choose_device(arguments.device)
    document = implementation(
        twins,
        arguments.preset,
        arguments.rounds,
        arguments.steps,
        device,
        arguments.memory_format or LAYOUTS[device],
        arguments.cache or default_cache(),
    )
    if arguments.json:
        emit_json(document)
    else:
        emit_lines(implementation_lines(document))
    return 0
