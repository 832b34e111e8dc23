"""The commands that use a trained model: sample, export. The work is imported late."""

import argparse
from pathlib import Path

from bench.commands.arguments import finite_float, png, sample_count
from bench.commands.output import emit, emit_lines
from bench.config import RECIPES
from bench.errors import BadInput


def add_sample(sample: argparse.ArgumentParser) -> None:
    sample.set_defaults(command=sample_command)
    sample.add_argument("--run", type=Path, required=True, metavar="DIR", help="a results folder with its .work")
    sample.add_argument("--list", action="store_true", help="print the attributes and their values, and draw nothing")
    sample.add_argument("--contestant", help="whose; needed to draw")
    sample.add_argument("--attributes", default="", help="name=value,…; the rest is a real avatar's")
    sample.add_argument("--guidance", type=finite_float, help="default: the recipe's")
    sample.add_argument("--count", type=sample_count, default=16, help="default 16")
    sample.add_argument("--seed", type=int, default=0, help="of the samples")
    sample.add_argument("--recipe", default="matched", choices=tuple(RECIPES))
    sample.add_argument("--out", type=png, metavar="FILE.png", help="needed to draw")


def add_export(export: argparse.ArgumentParser) -> None:
    export.set_defaults(command=export_command)
    export.add_argument("run", type=Path, metavar="RUN", help="a results folder with its .work")
    export.add_argument("folder", type=Path, metavar="DIR", help="a new folder for the pipeline and its model card")
    export.add_argument("--contestant", required=True)
    export.add_argument("--recipe", default="matched", choices=tuple(RECIPES))
    export.add_argument("--seed", type=int, help="of the training run (default: the first found)")


def sample_command(arguments: argparse.Namespace) -> int:
    if arguments.list:
        from bench.inference.attributes import attribute_lines, schema_of

        schema = schema_of(arguments.run, arguments.contestant, arguments.recipe)
        emit_lines(line for text in attribute_lines(schema) for line in text.splitlines())
        return 0
    missing = [f"--{name}" for name in ("contestant", "out") if getattr(arguments, name) is None]
    if missing:
        raise BadInput(f"to draw, name {' and '.join(missing)}; --list prints what can be asked for")

    from bench.inference.generate import generate

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


def export_command(arguments: argparse.Namespace) -> int:
    from diffusers.utils.logging import disable_progress_bar

    from bench.inference.export import export

    disable_progress_bar()  # it would stand before an error's one line
    export(arguments.run, arguments.contestant, arguments.recipe, arguments.seed, arguments.folder)
    emit(str(arguments.folder))
    return 0
