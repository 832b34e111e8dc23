"""What `bench data` does with its arguments. Heavy modules are imported late, as in bench/commands.py."""

import argparse
import sys

from bench.commands.command_bodies import check_data
from bench.commands.output import emit


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
