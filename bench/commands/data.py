"""`bench data`: verify a Cartoon Set, preview any data set, export Avataaars."""

import argparse
import sys
from pathlib import Path

from bench.commands.arguments import (
    check_data,
    positive_int,
)
from bench.commands.output import emit


def add(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(required=True, metavar="verify|preview|export")
    verify = kinds.add_parser("verify", help="list what is wrong with a Cartoon Set")
    verify.set_defaults(command=verify_command)
    verify.add_argument("path", type=Path)
    preview = kinds.add_parser("preview", help="draw a labelled grid of a data set")
    preview.set_defaults(command=preview_command)
    preview.add_argument("path", help="'avataaars', or a Cartoon Set folder or .tgz")
    preview.add_argument("--out", type=Path, default=Path("preview.png"), metavar="FILE.png")
    preview.add_argument("--count", type=positive_int, default=24)
    preview.add_argument("--image-size", type=positive_int, default=64)
    export = kinds.add_parser("export", help="write Avataaars in Cartoon Set's layout")
    export.set_defaults(command=export_command)
    export.add_argument("path", type=Path, help="a new folder, or a .tgz")
    export.add_argument("--images", type=positive_int, default=1000)


def verify_command(arguments: argparse.Namespace) -> int:
    from bench.data.tools import verify

    problems, images = verify(arguments.path)
    for problem in problems:
        emit(problem)
    print(f"{images} good images, {len(problems)} problems", file=sys.stderr)
    return 2 if problems else 0


def preview_command(arguments: argparse.Namespace) -> int:
    check_data(arguments.path)
    from bench.data.tools import preview

    preview(arguments.path, arguments.count, arguments.image_size, arguments.out)
    emit(str(arguments.out))
    return 0


def export_command(arguments: argparse.Namespace) -> int:
    from bench.data.tools import export

    export(arguments.path, arguments.images)
    emit(str(arguments.path))
    return 0
