"""`bench sample`: avatars with attributes of your choice, from a finished run."""

import argparse
from pathlib import Path

from bench.commands.arguments import (
    finite_float,
    png,
    sample_count,
)
from bench.commands.output import emit, emit_lines
from bench.errors import BadInput


def add(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=run)
    parser.add_argument("--run", type=Path, required=True, metavar="DIR", help="a results folder with its .work")
    parser.add_argument("--list", action="store_true", help="print the attributes and their values, and draw nothing")
    parser.add_argument("--contestant", help="whose; needed to draw")
    parser.add_argument("--attributes", default="", help="name=value,…; the rest is a real avatar's")
    parser.add_argument("--guidance", type=finite_float, help="default: the recipe's")
    parser.add_argument("--count", type=sample_count, default=16, help="default 16")
    parser.add_argument("--seed", type=int, default=0, help="of the samples")
    parser.add_argument("--recipe", default="matched", help="of the runs (default matched)")
    parser.add_argument("--out", type=png, metavar="FILE.png", help="needed to draw")


def run(arguments: argparse.Namespace) -> int:
    if arguments.list:
        from bench.inference.attributes import attribute_lines, schema_of

        schema = schema_of(arguments.run, arguments.contestant, arguments.recipe)
        emit_lines(line for text in attribute_lines(schema) for line in text.splitlines())
        return 0
    missing = [f"--{name}" for name in ("contestant", "out") if getattr(arguments, name) is None]
    if missing:
        raise BadInput(f"to draw, name {' and '.join(missing)}; --list prints what can be asked for")

    from bench.inference.sample import generate

    generate(
        out=arguments.run,
        contestant=arguments.contestant,
        recipe=arguments.recipe,
        attributes=arguments.attributes,
        guidance=arguments.guidance,
        count=arguments.count,
        seed=arguments.seed,
        picture=arguments.out,
    )
    emit(str(arguments.out))
    return 0
