"""What the commands that time models by turns have in common on the command line."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands.arguments import positive_int
from bench.config import PRESETS
from bench.errors import BadInput, known

if TYPE_CHECKING:
    from bench.cost.turns import Timing

FEWEST_ROUNDS = 7  # with six, the 95 % interval of a median is from the least to the most: one round may be odd


def add_turns(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", default="laptop", help=f"whose sizes: one of {', '.join(PRESETS)}")
    parser.add_argument("--rounds", type=positive_int, default=9, help=f"at least {FEWEST_ROUNDS} (default 9)")
    parser.add_argument("--steps", type=positive_int, default=4, help="of each model a round (default 4)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    parser.add_argument("--batch-size", type=positive_int, metavar="N", help="default: the preset's")
    parser.add_argument("--mixed-precision", choices=("no", "bf16"), default="no", help="default no: fp32, or TF32")
    parser.add_argument("--memory-format", choices=("channels_last", "contiguous"), help="default: the device's faster")
    parser.add_argument("--cache", type=Path, help="data cache, as for run")
    parser.add_argument("--json", action="store_true")


def check_turns(arguments: argparse.Namespace) -> None:
    """BadInput before anything heavy is imported."""
    known(arguments.preset, tuple(PRESETS), "preset")
    if arguments.rounds < FEWEST_ROUNDS:
        raise BadInput(f"--rounds {arguments.rounds} is too few for an interval: at least {FEWEST_ROUNDS}")


def timing_of(arguments: argparse.Namespace) -> Timing:
    from bench.cost.check import LAYOUTS
    from bench.cost.turns import Timing
    from bench.data.library import default_cache
    from bench.environment import choose_device

    device = choose_device(arguments.device)
    return Timing(
        arguments.preset,
        arguments.rounds,
        arguments.steps,
        device,
        arguments.memory_format or LAYOUTS[device],
        arguments.cache or default_cache(),
        arguments.batch_size,
        arguments.mixed_precision,
    )
