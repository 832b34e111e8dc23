"""`bench judges`: how far the metrics of quality can be trusted, on known defects."""

import argparse
from dataclasses import replace
from pathlib import Path

from bench.commands.arguments import (
    check_data,
    positive_int,
)
from bench.commands.output import emit_json, emit_lines
from bench.config import PRESETS
from bench.errors import known


def add(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=run)
    parser.add_argument("--preset", default="laptop", help=f"whose sizes: one of {', '.join(PRESETS)}")
    parser.add_argument("--data", default="avataaars", help="'avataaars', or a Cartoon Set folder or .tgz")
    parser.add_argument("--images", type=positive_int, metavar="N", help="of the data set (default: the preset's)")
    parser.add_argument("--image-size", type=positive_int, metavar="N", help="default: the preset's")
    parser.add_argument("--judge-steps", type=positive_int, metavar="N", help="default: the preset's")
    parser.add_argument("--count", type=positive_int, default=500, help="real images with each defect (default 500)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    parser.add_argument("--cache", type=Path, help="data cache, as for run")
    parser.add_argument("--out", type=Path, metavar="DIR", help="also write the document and pictures there")
    parser.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    preset = PRESETS[known(arguments.preset, tuple(PRESETS), "preset")]
    check_data(arguments.data)
    given = {name: getattr(arguments, name) for name in ("images", "image_size", "judge_steps")}
    sizes = replace(preset, **{name: value for name, value in given.items() if value is not None})

    from bench.data.library import default_cache
    from bench.environment import choose_device
    from bench.quality.judges import metrics_on_defects
    from bench.render.judges import judges_lines, write_judges

    cache, device = arguments.cache or default_cache(), choose_device(arguments.device)
    document, pictures = metrics_on_defects(sizes, arguments.data, arguments.count, device, cache)
    if arguments.out is not None:
        write_judges(arguments.out, document, pictures)
    if arguments.json:
        emit_json(document)
    else:
        emit_lines(judges_lines(document))
    return 0
