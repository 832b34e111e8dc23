"""The command line: every command is a module of this room, with its arguments beside what it does.

argparse rather than tyro: a mistake must be one line on stderr with the remedy, and `--help` must not wait for torch.
So heavy modules are imported where a command begins to work.
"""

import os
import signal
import sys

from bench.commands import (
    anatomy,
    bridge,
    check,
    data,
    doctor,
    experiments,
    export,
    implementation,
    judges,
    ladder,
    overhead,
    overview,
    pictures,
    predict,
    report,
    run,
    sample,
    samplers,
    table,
    tune,
)  # fmt: skip
from bench.commands.arguments import Parser
from bench.errors import show_traceback, status_and_line
from bench.stopping import INTERRUPTED, Stopped, Stopping, TimeIsUp


def main(argv: list[str] | None = None) -> int:
    """Run one command; 0 done, 1 a run failed, 2 bad usage or input, 130 interrupted, 143 terminated."""
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # or torch's profiler warns of memory from before it began
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may start background jobs deaf to it
    Stopping()
    arguments = None
    try:
        arguments = parser().parse_args(argv)
        return arguments.command(arguments)
    except TimeIsUp:
        print("bench: the time limit is reached; the same command resumes, without --fresh", file=sys.stderr)
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
    run.add(kinds.add_parser("run", help="train, measure and compare"))
    table.add(kinds.add_parser("table", help="draw the table again from records"))
    pictures.add(kinds.add_parser("pictures", help="draw a results folder's pictures again"))
    overview.add(kinds.add_parser("overview", help="the README of a folder of result sets"))
    report.add(kinds.add_parser("report", help="one HTML file of records, pictures and plots, to send or to print"))
    anatomy.add(kinds.add_parser("anatomy", help="what a model costs, at any size, without building it"))
    overhead.add(kinds.add_parser("overhead", help="what the harness itself costs, against a bare loop"))
    implementation.add(kinds.add_parser("implementation", help="what writing the library's model by hand changes"))
    bridge.add(kinds.add_parser("bridge", help="what each change from the hand-written UNet to the library's costs"))
    experiments.add(kinds.add_parser("experiments", help="the questions that can be asked, and how far they are"))
    check.add(kinds.add_parser("check", help="whether a denoiser of your own keeps the contract, and what it costs"))
    doctor.add(kinds.add_parser("doctor", help="whether this machine computes rightly, how fast, and what is missing"))
    ladder.add(kinds.add_parser("ladder", help="images/s of training by precision, memory layout and compiling"))
    tune.add(kinds.add_parser("tune", help="find each contestant's learning rate, with the same trials for all"))
    predict.add(kinds.add_parser("predict", help="quality as a power law of compute and time, and what it foretells"))
    judges.add(kinds.add_parser("judges", help="how far the metrics of quality can be trusted, on known defects"))
    samplers.add(kinds.add_parser("samplers", help="quality by the number of sampling steps"))
    sample.add(kinds.add_parser("sample", help="draw avatars from a finished run"))
    export.add(kinds.add_parser("export", help="write a trained model as a pipeline that diffusers loads"))
    data.add(kinds.add_parser("data", help="verify, preview or export a data set"))
    kinds.metavar = "|".join(kinds.choices)
    return top
