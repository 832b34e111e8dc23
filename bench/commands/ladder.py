"""`bench ladder`: images/s of training by precision, memory layout and compiling."""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.commands.arguments import (
    positive_float,
    positive_int,
)
from bench.commands.output import emit_json, emit_lines
from bench.config import DEFAULT_CONTESTANTS, PRESETS, contestant_names
from bench.errors import known


def add(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=run)
    parser.add_argument("--preset", default="full", help=f"whose sizes: one of {', '.join(PRESETS)} (default full)")
    parser.add_argument("--contestants", default=DEFAULT_CONTESTANTS, help="names, 'all', or package.module:function")
    parser.add_argument("--image-size", type=positive_int, metavar="N", help="default: the preset's")
    parser.add_argument("--scale", type=positive_float, metavar="N", help="default: the preset's")
    parser.add_argument("--batch-size", type=positive_int, metavar="N", help="default: the preset's")
    parser.add_argument("--compile", action="store_true", help="the compiled rungs too, which take minutes to compile")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    parser.add_argument("--cache", type=Path, help="data cache, as for run")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="write the document there, after every rung")
    parser.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    preset = PRESETS[known(arguments.preset, tuple(PRESETS), "preset")]
    names = contestant_names(arguments.contestants)
    given = {name: getattr(arguments, name) for name in ("image_size", "scale", "batch_size")}
    sizes = replace(preset, **{name: value for name, value in given.items() if value is not None})

    from bench import contestants
    from bench.cost.ladder import ladder, rungs_for
    from bench.data.library import DataRequest, cache_path, default_cache, load
    from bench.environment import choose_device
    from bench.render.ladder import ladder_lines
    from bench.storage import durable

    for name in names:
        contestants.check(name, sizes.image_size, sizes.scale)
    device = choose_device(arguments.device)
    request = DataRequest("avataaars", 20 * sizes.batch_size, sizes.image_size)
    avatars = load(request, cache_path(request, arguments.cache or default_cache()))

    def keep(document: dict[str, Any]) -> None:  # early: the next rung may outlast the machine
        if arguments.out is not None:
            durable.write_text(arguments.out, json.dumps(document, indent=1))

    document = ladder(names, sizes, avatars, device, rungs_for(device, arguments.compile), keep)
    if arguments.json:
        emit_json(document)
    else:
        emit_lines(ladder_lines(document))
    return 0
