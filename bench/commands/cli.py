"""The command line. Parsing only; the work is imported late.

argparse rather than tyro: a mistake must be one line on stderr with the remedy, and `--help` must not wait for torch.
"""

import argparse
import signal
import sys
from dataclasses import fields
from pathlib import Path

from bench.commands import command_bodies as commands
from bench.commands.arguments import (
    Parser,
    duration,
    integers,
    memory_size,
    names,
    positive_float,
    positive_int,
    rate,
)
from bench.config import DEFAULT_CONTESTANTS, PRESETS, RECIPES, Sizes
from bench.commands import data_commands as data_commands
from bench.failures import show_traceback, status_and_line
from bench.commands.model_commands import add_export, add_sample
from bench.commands.report_commands import add_overview, add_pictures, add_report
from bench.stopping import INTERRUPTED, Stopped, Stopping, TimeIsUp


def main(argv: list[str] | None = None) -> int:
    """Run one command; 0 done, 1 a run failed, 2 bad usage or input, 130 interrupted, 143 terminated."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may start background jobs deaf to it
    Stopping()
    arguments = None
    try:
        arguments = parser().parse_args(argv)
        return arguments.command(arguments)
    except TimeIsUp:
        print("bench: the time limit is over; the same command goes on, without --fresh", file=sys.stderr)
        return INTERRUPTED
    except KeyboardInterrupt:
        print("bench: interrupted; the same command resumes, without --fresh", file=sys.stderr)
        return INTERRUPTED
    except Stopped:
        print("bench: stopped; the same command resumes", file=sys.stderr)
        raise
    except BaseException as error:  # a plug-in may raise anything, an exit too
        if arguments is None and isinstance(error, SystemExit):  # --help
            raise
        status, line = status_and_line(error)
        print(f"bench: {line}", file=sys.stderr)
        show_traceback(error)
        return status


def parser() -> Parser:
    top = Parser(prog="bench", description="A hand-written diffusion UNet against diffusers', measured alike.")
    kinds = top.add_subparsers(required=True)
    add_run(kinds.add_parser("run", help="train, measure and compare"))
    add_table(kinds.add_parser("table", help="draw the table again from records"))
    add_pictures(kinds.add_parser("pictures", help="draw a results folder's pictures again"))
    add_overview(kinds.add_parser("overview", help="the README of a folder of result sets"))
    add_report(kinds.add_parser("report", help="one HTML file of records, pictures and plots, to send or to print"))
    add_anatomy(kinds.add_parser("anatomy", help="what a model costs, at any size, without building it"))
    add_overhead(kinds.add_parser("overhead", help="what the harness itself costs, against a bare loop"))
    add_doctor(kinds.add_parser("doctor", help="whether this machine computes rightly, how fast, and what is missing"))
    add_ladder(kinds.add_parser("ladder", help="images/s of training by precision, memory layout and compiling"))
    add_judges(kinds.add_parser("judges", help="how far the judges of quality can be trusted, on known defects"))
    add_sample(kinds.add_parser("sample", help="draw avatars from a finished run"))
    add_export(kinds.add_parser("export", help="write a trained model as a pipeline that diffusers loads"))
    add_data(kinds.add_parser("data", help="verify, preview or export a data set"))
    kinds.metavar = "|".join(kinds.choices)
    return top


def add_run(run: argparse.ArgumentParser) -> None:
    run.set_defaults(command=commands.run_command)
    run.add_argument("--preset", default="smoke", help=f"one of {', '.join(PRESETS)} (default smoke)")
    run.add_argument("--contestants", default=DEFAULT_CONTESTANTS, help="names, 'all', or package.module:function")
    run.add_argument("--recipe", default="matched", help=f"one of {', '.join(RECIPES)} (default matched)")
    run.add_argument("--seeds", default="0", type=integers, help="for example 0,1,2 (default 0)")
    run.add_argument("--data", default="avataaars", help="'avataaars', or a Cartoon Set folder or .tgz")
    run.add_argument("--out", type=Path, help="results folder (default results/local/<preset>, which git ignores)")
    run.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    run.add_argument("--mixed-precision", choices=("no", "bf16", "fp16"), help="default: chosen by a timed probe")
    run.add_argument(
        "--inception-weights", type=Path, metavar="FILE",
        help="torch-fidelity's weights file, or 'auto' to download it: adds the usual FID",
    )  # fmt: skip
    run.add_argument("--extractors", default=[], type=names, help="module:EXTRACTOR of your own: adds its distances")
    run.add_argument(
        "--report-to", default=[], type=names, metavar="TRACKERS",
        help="tell these of training: tensorboard, wandb, mlflow or others of accelerate's (default none)",
    )  # fmt: skip
    run.add_argument("--fresh", action="store_true", help="start over instead of resuming")
    run.add_argument(
        "--only-missing", action="store_true",
        help="keep records that this configuration and this code have made, on any machine",
    )  # fmt: skip
    run.add_argument("--time-limit", type=duration, metavar="9m", help="stop in time, saved, with exit status 130")
    run.add_argument(
        "--skip-bad", action="store_true", help="leave out damaged images of a Cartoon Set, and say how many"
    )
    run.add_argument("--json", action="store_true", help="print one JSON document instead of the table")
    run.add_argument("--all-rows", action="store_true", help="print every row of the table, not the first ones alone")
    run.add_argument(
        "--checkpoint-seconds", type=positive_float, metavar="N",
        help="between two checkpoints (default 120, or more where that would take over 2 %% of the time)",
    )  # fmt: skip
    run.add_argument(
        "--processes", type=positive_int, metavar="N", help="that share each batch (default: a launcher's)"
    )
    run.add_argument("--cache", type=Path, help="data cache (default $UNET_BENCH_CACHE, else the user's cache folder)")
    sizes = run.add_argument_group("instead of the preset's")
    for field in fields(Sizes):
        kind = positive_float if field.type == "float" or field.type is float else positive_int
        sizes.add_argument(f"--{field.name.replace('_', '-')}", type=kind, metavar="N")


def add_table(table: argparse.ArgumentParser) -> None:
    table.set_defaults(command=commands.table_command)
    table.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    table.add_argument("--format", default=None, choices=("md", "csv", "json"), help="default: drawn for the terminal")
    table.add_argument("--all-rows", action="store_true", help="print every row on the terminal (files have them all)")


def add_anatomy(anatomy: argparse.ArgumentParser) -> None:
    anatomy.set_defaults(command=commands.anatomy_command)
    anatomy.add_argument("--contestants", default="all", help="names, or package.module:function (default all of ours)")
    anatomy.add_argument("--image-size", type=positive_int, default=64, help="height and width (default 64)")
    anatomy.add_argument("--batch-size", type=positive_int, default=128, help="images of a step (default 128)")
    anatomy.add_argument("--scale", type=positive_float, default=1.0, help="of the published channels (default 1)")
    anatomy.add_argument("--mixed-precision", default="no", choices=("no", "bf16"), help="autocast (default no)")
    anatomy.add_argument(
        "--device", default="cuda", choices=("cuda", "cpu"), help="whose rules for bf16 (default cuda)"
    )
    anatomy.add_argument("--gradient-checkpointing", action="store_true", help="compute activations again, keep fewer")
    anatomy.add_argument("--memory", type=memory_size, metavar="24GiB", help="find the largest batch that fits")
    anatomy.add_argument("--peak", type=rate, metavar="GFLOP/s", help="for the time floor: a number, or 'measured'")
    anatomy.add_argument("--check", action="store_true", help="hold the predicted peak against real, scaled steps")
    anatomy.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the memory by kind and level")
    anatomy.add_argument(
        "--walk", type=Path, metavar="FILE.md",
        help="only this: write every block of scratch and diffusers-32, full size, between the markers of a page",
    )  # fmt: skip
    anatomy.add_argument("--json", action="store_true")


def add_overhead(overhead: argparse.ArgumentParser) -> None:
    overhead.set_defaults(command=commands.overhead_command)
    overhead.add_argument("--preset", default="laptop", help=f"whose sizes: one of {', '.join(PRESETS)}")
    overhead.add_argument(
        "--contestant", default="scratch", help="one name (default scratch: the fastest shows the most)"
    )
    overhead.add_argument("--rounds", type=positive_int, default=9, help="at least 7 (default 9)")
    overhead.add_argument("--steps", type=positive_int, default=15, help="of each kind a round (default 15)")
    overhead.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    overhead.add_argument("--cache", type=Path, help="data cache, as for run")
    overhead.add_argument("--json", action="store_true")


def add_doctor(doctor: argparse.ArgumentParser) -> None:
    doctor.description = "One screen about this machine, in about a minute; status 1 if it computes wrongly."
    doctor.set_defaults(command=commands.doctor_command)
    doctor.add_argument("--contestants", default=DEFAULT_CONTESTANTS, help="names, 'all', or package.module:function")
    doctor.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    doctor.add_argument("--json", action="store_true")


def add_ladder(ladder: argparse.ArgumentParser) -> None:
    ladder.set_defaults(command=commands.ladder_command)
    ladder.add_argument("--preset", default="full", help=f"whose sizes: one of {', '.join(PRESETS)} (default full)")
    ladder.add_argument("--contestants", default=DEFAULT_CONTESTANTS, help="names, 'all', or package.module:function")
    ladder.add_argument("--image-size", type=positive_int, metavar="N", help="default: the preset's")
    ladder.add_argument("--scale", type=positive_float, metavar="N", help="default: the preset's")
    ladder.add_argument("--batch-size", type=positive_int, metavar="N", help="default: the preset's")
    ladder.add_argument("--compile", action="store_true", help="the compiled rungs too, which take minutes to compile")
    ladder.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    ladder.add_argument("--cache", type=Path, help="data cache, as for run")
    ladder.add_argument("--out", type=Path, metavar="FILE.json", help="write the document there, after every rung")
    ladder.add_argument("--json", action="store_true")


def add_judges(judges: argparse.ArgumentParser) -> None:
    judges.set_defaults(command=commands.judges_command)
    judges.add_argument("--preset", default="laptop", help=f"whose sizes: one of {', '.join(PRESETS)}")
    judges.add_argument("--data", default="avataaars", help="'avataaars', or a Cartoon Set folder or .tgz")
    judges.add_argument("--images", type=positive_int, metavar="N", help="of the data set (default: the preset's)")
    judges.add_argument("--image-size", type=positive_int, metavar="N", help="default: the preset's")
    judges.add_argument("--judge-steps", type=positive_int, metavar="N", help="default: the preset's")
    judges.add_argument("--count", type=positive_int, default=500, help="real images with each defect (default 500)")
    judges.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    judges.add_argument("--cache", type=Path, help="data cache, as for run")
    judges.add_argument("--out", type=Path, metavar="DIR", help="also write the document and pictures there")
    judges.add_argument("--json", action="store_true")


def add_data(data: argparse.ArgumentParser) -> None:
    kinds = data.add_subparsers(required=True, metavar="verify|preview|export")
    verify = kinds.add_parser("verify", help="list what is wrong with a Cartoon Set")
    verify.set_defaults(command=data_commands.verify_command)
    verify.add_argument("path", type=Path)
    preview = kinds.add_parser("preview", help="draw a labelled grid of a data set")
    preview.set_defaults(command=data_commands.preview_command)
    preview.add_argument("path", help="'avataaars', or a Cartoon Set folder or .tgz")
    preview.add_argument("--out", type=Path, default=Path("preview.png"), metavar="FILE.png")
    preview.add_argument("--count", type=positive_int, default=24)
    preview.add_argument("--image-size", type=positive_int, default=64)
    export = kinds.add_parser("export", help="write Avataaars in Cartoon Set's layout")
    export.set_defaults(command=data_commands.export_command)
    export.add_argument("path", type=Path, help="a new folder, or a .tgz")
    export.add_argument("--images", type=positive_int, default=1000)
