"""The command line: run | table | anatomy | sample | data. Argument parsing only; the work is imported late.

argparse rather than tyro: a mistake must be one line on stderr with the remedy, and `--help` must not wait for torch.
"""

import argparse
import json
import re
import signal
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from bench.config import PRESETS, RECIPES, Sizes, contestant_names
from bench.errors import BadInput, RunFailed, known

if TYPE_CHECKING:
    from bench.runner import RunRequest

DEFAULT_CONTESTANTS = "scratch,diffusers-32"


class Parser(argparse.ArgumentParser):
    """argparse, but a mistake is one line: what, and where to look."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)  # --fres must not start over

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message} (see `{self.prog} --help`)")


def main(argv: list[str] | None = None) -> int:
    """Run one command; 0 done, 1 a run failed, 2 bad usage or input, 130 interrupted."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may start background jobs deaf to it
    try:
        arguments = parser().parse_args(argv)
        return arguments.command(arguments)
    except BadInput as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except RunFailed as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted; the same command resumes", file=sys.stderr)
        return 130


def parser() -> Parser:
    top = Parser(prog="bench", description="A hand-written diffusion UNet against diffusers', measured alike.")
    commands = top.add_subparsers(required=True, metavar="run|table|anatomy|sample|data", parser_class=Parser)
    add_run(commands.add_parser("run", help="train, measure and compare"))
    add_table(commands.add_parser("table", help="draw the table again from records"))
    add_anatomy(commands.add_parser("anatomy", help="what a model costs, at any size, without building it"))
    add_sample(commands.add_parser("sample", help="draw avatars from a finished run"))
    add_data(commands.add_parser("data", help="verify, preview or export a data set"))
    return top


def add_run(run: argparse.ArgumentParser) -> None:
    run.set_defaults(command=run_command)
    run.add_argument("--preset", default="smoke", help=f"one of {', '.join(PRESETS)} (default smoke)")
    run.add_argument("--contestants", default=DEFAULT_CONTESTANTS, help="names, 'all', or package.module:function")
    run.add_argument("--recipe", default="matched", help=f"one of {', '.join(RECIPES)} (default matched)")
    run.add_argument("--seeds", default="0", type=integers, help="for example 0,1,2 (default 0)")
    run.add_argument("--data", default="avataaars", help="'avataaars', or a Cartoon Set folder or .tgz")
    run.add_argument("--out", type=Path, help="results folder (default results/<preset>)")
    run.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    run.add_argument("--mixed-precision", choices=("no", "bf16", "fp16"), help="default: chosen by a timed probe")
    run.add_argument("--inception-weights", type=Path, help="torch-fidelity's weights file: adds the usual FID")
    run.add_argument("--fresh", action="store_true", help="start over instead of resuming")
    run.add_argument(
        "--skip-bad", action="store_true", help="leave out damaged images of a Cartoon Set, and say how many"
    )
    run.add_argument("--json", action="store_true", help="print one JSON document instead of the table")
    run.add_argument("--cache", type=Path, help="data cache (default $UNET_BENCH_CACHE, else the user's cache folder)")
    sizes = run.add_argument_group("instead of the preset's")
    for field in fields(Sizes):
        kind = positive_float if field.type == "float" or field.type is float else positive_int
        sizes.add_argument(f"--{field.name.replace('_', '-')}", type=kind, metavar="N")


def add_table(table: argparse.ArgumentParser) -> None:
    table.set_defaults(command=table_command)
    table.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    table.add_argument("--format", default=None, choices=("md", "csv", "json"), help="default: drawn for the terminal")


def add_anatomy(anatomy: argparse.ArgumentParser) -> None:
    anatomy.set_defaults(command=anatomy_command)
    anatomy.add_argument("--contestants", default="all")
    anatomy.add_argument("--image-size", type=positive_int, default=64)
    anatomy.add_argument("--batch-size", type=positive_int, default=128)
    anatomy.add_argument("--mixed-precision", default="no", choices=("no", "bf16"))
    anatomy.add_argument("--gradient-checkpointing", action="store_true", help="compute activations again, keep fewer")
    anatomy.add_argument("--memory", type=memory_size, metavar="24GiB", help="find the largest batch that fits")
    anatomy.add_argument("--peak", type=rate, metavar="GFLOP/s", help="for the time floor: a number, or 'measured'")
    anatomy.add_argument("--check", action="store_true", help="hold the predicted peak against real, scaled steps")
    anatomy.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the memory by kind and level")
    anatomy.add_argument("--json", action="store_true")


def add_sample(sample: argparse.ArgumentParser) -> None:
    sample.set_defaults(command=sample_command)
    sample.add_argument("--run", type=Path, required=True, metavar="DIR", help="a results folder with its .work")
    sample.add_argument("--contestant", required=True)
    sample.add_argument("--attributes", default="", help="name=value,…; the rest is drawn at random")
    sample.add_argument("--guidance", type=float, help="default: the recipe's")
    sample.add_argument("--count", type=positive_int, default=16)
    sample.add_argument("--seed", type=int, default=0, help="of the samples")
    sample.add_argument("--recipe", default="matched", choices=tuple(RECIPES))
    sample.add_argument("--out", type=Path, required=True, metavar="FILE.png")


def add_data(data: argparse.ArgumentParser) -> None:
    commands = data.add_subparsers(required=True, metavar="verify|preview|export", parser_class=Parser)
    verify = commands.add_parser("verify", help="list what is wrong with a Cartoon Set")
    verify.set_defaults(command=verify_command)
    verify.add_argument("path", type=Path)
    preview = commands.add_parser("preview", help="draw a labelled grid of a data set")
    preview.set_defaults(command=preview_command)
    preview.add_argument("path", help="'avataaars', or a Cartoon Set folder or .tgz")
    preview.add_argument("--out", type=Path, default=Path("preview.png"), metavar="FILE.png")
    preview.add_argument("--count", type=positive_int, default=24)
    preview.add_argument("--image-size", type=positive_int, default=64)
    export = commands.add_parser("export", help="write Avataaars in Cartoon Set's layout")
    export.set_defaults(command=export_command)
    export.add_argument("path", type=Path, help="a new folder, or a .tgz")
    export.add_argument("--images", type=positive_int, default=1000)


def positive_int(text: str) -> int:
    if not re.fullmatch(r"\d+", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive whole number")
    return int(text)


def positive_float(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive number")
    return value


def memory_size(text: str) -> int:
    """`24GiB` or `16GB` to bytes."""
    units = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([MG]i?B)", text)
    if not match or float(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not an amount of memory like 24GiB or 16GB")
    return round(float(match[1]) * units[match[2]])


def rate(text: str) -> float | str:
    """A rate in GFLOP/s to FLOP/s, or `measured`."""
    return text if text == "measured" else 1e9 * positive_float(text)


def integers(text: str) -> list[int]:
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of whole numbers like 0,1,2")
    return list(dict.fromkeys(int(part) for part in text.split(",")))


def shown_command(arguments: argparse.Namespace) -> str:
    """The command as it can be typed again: what differs from the defaults, no path of this machine."""
    words = ["python -m bench run"]
    hidden = {"command", "out", "cache", "device", "fresh", "json", "inception_weights"}
    for name, value in vars(arguments).items():
        default = {"preset": "smoke", "contestants": DEFAULT_CONTESTANTS, "recipe": "matched", "seeds": [0]}
        default |= {"data": "avataaars"}
        if name in hidden or value in (None, False) or value == default.get(name):
            continue
        option = f"--{name.replace('_', '-')}"
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        text = Path(text).name if name == "data" else text
        words.append(option if value is True else f"{option} {text}")
    return " ".join(words)


def run_command(arguments: argparse.Namespace) -> int:
    known(arguments.preset, tuple(PRESETS), "preset")
    known(arguments.recipe, tuple(RECIPES), "recipe")
    check_data(arguments.data)

    from bench.record import read_records
    from bench.render.table import write_table
    from bench.runner import run

    request = run_request(arguments)
    undone = run(request)
    records = read_records(request.out)  # with what was measured here before, as `bench table` shows it
    made = write_table(request.out, records)
    if arguments.json:
        print_json(
            {"schema_version": 1, "done": not undone, "table": made.to_json(), "records": [vars(r) for r in records]}
        )
    else:
        print_rich(made.to_rich())
        print(f"\n{request.out / 'table.md'} has the table with its legend and pictures.")
    for name in undone:
        print(f"{name} failed; its row says why, or shows what was measured before", file=sys.stderr)
    return 1 if undone else 0


def run_request(arguments: argparse.Namespace) -> "RunRequest":
    """What `bench run` was asked: the preset, with what the user put in its place."""
    from bench import contestants
    from bench.data.library import default_cache
    from bench.runner import RunRequest

    given = {field.name: getattr(arguments, field.name) for field in fields(Sizes)}
    instead = {name: value for name, value in given.items() if value is not None}
    return RunRequest(
        preset=arguments.preset,
        sizes=replace(PRESETS[arguments.preset], **instead),
        contestants=contestants.names(arguments.contestants),
        recipe=arguments.recipe,
        seeds=arguments.seeds,
        data=arguments.data,
        out=arguments.out or Path("results") / arguments.preset,
        cache=arguments.cache or default_cache(),
        device=arguments.device,
        mixed_precision=arguments.mixed_precision,
        inception_weights=arguments.inception_weights,
        skip_bad=arguments.skip_bad,
        fresh=arguments.fresh,
        command=shown_command(arguments),
    )


def check_data(source: str) -> None:
    """Refuse a data path that cannot be a Cartoon Set before anything heavy is imported."""
    from bench.data import cartoonset

    if source != "avataaars":
        next(cartoonset.members(Path(source)), None)


def table_command(arguments: argparse.Namespace) -> int:
    from bench.record import read_records
    from bench.render.table import table

    records = [record for folder in arguments.folders for record in read_records(folder)]
    made = table(records)
    if arguments.format == "json":
        print_json(made.to_json())
    elif arguments.format == "csv":
        print(made.to_csv(), end="")
    elif arguments.format == "md":
        print(made.to_markdown(), end="")
    else:
        print_rich(made.to_rich())
    return 0


def anatomy_command(arguments: argparse.Namespace) -> int:
    from bench.cost.anatomy import Question, anatomy
    from bench.render.anatomy import anatomy_table, draw_anatomy, notes

    question = Question(
        contestant_names(arguments.contestants),
        arguments.image_size,
        arguments.batch_size,
        arguments.mixed_precision,
        arguments.gradient_checkpointing,
        arguments.memory,
        arguments.peak,
        arguments.check,
    )
    document = anatomy(question)
    if arguments.plot is not None:
        draw_anatomy(document, arguments.plot)
    if arguments.json:
        print_json(document)
    else:
        print_rich(anatomy_table(document))
        print("\n".join(f"- {note}" for note in notes(document)))
    return 0


def sample_command(arguments: argparse.Namespace) -> int:
    from bench.generate import generate

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
    print(arguments.out)
    return 0


def verify_command(arguments: argparse.Namespace) -> int:
    from bench.data.tools import verify

    problems, images = verify(arguments.path)
    for problem in problems:
        print(problem)
    print(f"{images} good images, {len(problems)} problems", file=sys.stderr)
    return 2 if problems else 0


def preview_command(arguments: argparse.Namespace) -> int:
    check_data(arguments.path)
    from bench.data.tools import preview

    preview(arguments.path, arguments.count, arguments.image_size, arguments.out)
    print(arguments.out)
    return 0


def export_command(arguments: argparse.Namespace) -> int:
    from bench.data.tools import export

    export(arguments.path, arguments.images)
    print(arguments.path)
    return 0


def print_json(document: Any) -> None:
    json.dump(document, sys.stdout, indent=1, allow_nan=False)
    print()


def print_rich(renderable: Any) -> None:
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 140).print(renderable)
