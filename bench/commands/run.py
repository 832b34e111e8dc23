"""`bench run`: train, measure and compare."""

import argparse
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands.arguments import (
    budgets,
    check_data,
    duration,
    integers,
    names,
    positive_float,
    positive_int,
)
from bench.commands.asked import DEFAULTS, default_out, run_request
from bench.commands.experiments import add_options, answer, refuse_together
from bench.commands.output import emit, emit_json, emit_rich
from bench.config import (
    PRESETS,
    RECIPES,
    Number,
    Sizes,
    recipe_for,
)
from bench.errors import RunFailed, known
from bench.storage.folder import ResultsFolder

if TYPE_CHECKING:
    from bench.distributed import Launch
    from bench.record import Record
    from bench.render.table.table import Table
    from bench.runs.request import RunRequest


def add(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=run)
    parser.set_defaults(**DEFAULTS)
    parser.add_argument("--preset", help=f"one of {', '.join(PRESETS)} (default %(default)s)")
    parser.add_argument("--contestants", help="names, 'all', or package.module:function (default %(default)s)")
    parser.add_argument("--recipe", help=f"one of {', '.join(RECIPES)} (default %(default)s)")
    parser.add_argument("--seeds", type=integers, help="for example 0,1,2 (default 0)")
    parser.add_argument("--data", help="'avataaars', or a Cartoon Set folder or .tgz")
    parser.add_argument("--out", type=Path, help="results folder (default results/local/<preset>, which git ignores)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    parser.add_argument("--mixed-precision", choices=("no", "bf16", "fp16"), help="default: chosen by a timed probe")
    parser.add_argument(
        "--inception-weights", type=Path, metavar="FILE",
        help="torch-fidelity's weights file, or 'auto' to download it: adds the usual FID",
    )  # fmt: skip
    parser.add_argument("--extractors", default=[], type=names, help="module:EXTRACTOR of your own: adds its distances")
    parser.add_argument(
        "--report-to", default=[], type=names, metavar="TRACKERS",
        help="send training figures to these trackers: tensorboard, wandb, mlflow or others of accelerate's",
    )  # fmt: skip
    parser.add_argument(
        "--match", choices=("parameters", "flops"),
        help="give each contestant the scale at which it has as many parameters, or FLOP of training, as the first one",
    )  # fmt: skip
    parser.add_argument("--fresh", action="store_true", help="start over instead of resuming")
    parser.add_argument(
        "--only-missing", action="store_true",
        help="keep records that this configuration and this code have made, on any machine",
    )  # fmt: skip
    parser.add_argument("--time-limit", type=duration, metavar="9m", help="stop in time, saved, with exit status 130")
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out damaged images of a Cartoon Set, and say how many"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the table")
    parser.add_argument(
        "--all-rows", action="store_true", help="print every row of the table, not the first ones alone"
    )
    add_how(parser)
    add_options(parser)
    add_sizes(parser)


def add_how(parser: argparse.ArgumentParser) -> None:
    """How the work is done: nothing here is a size of the comparison."""
    parser.add_argument(
        "--checkpoint-seconds", type=positive_float, metavar="N",
        help="between two checkpoints (default 120, or more where that would take over 2 %% of the time)",
    )  # fmt: skip
    parser.add_argument(
        "--processes",
        type=positive_int,
        metavar="N",
        help="processes that split each batch (default: as torchrun started, else 1)",
    )
    parser.add_argument(
        "--cache", type=Path, help="data cache (default $UNET_BENCH_CACHE, else the user's cache folder)"
    )


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """An option for every size of a preset."""
    sizes = parser.add_argument_group("override a size of the preset")
    sizes.add_argument(
        "--budget", type=budgets, metavar="KIND=N,…",
        help="train for images=N, seconds=N or pflop=N, in place of epochs; each ends in a finished model, and the "
        "first one's is scored in full",
    )  # fmt: skip
    for field in fields(Sizes):
        if field.name == "budgets":
            continue
        kind = positive_float if field.type is Number else positive_int
        sizes.add_argument(f"--{field.name.replace('_', '-')}", type=kind, metavar="N")


def run(arguments: argparse.Namespace) -> int:
    known(arguments.preset, tuple(PRESETS), "preset")
    recipe_for(arguments.recipe, "scratch")  # refuses a name, or a change, that there is not
    from bench import distributed

    launch = distributed.launched(arguments.processes)
    arguments.processes = launch.processes
    if not launch.first_here:  # of a launcher's: the first one of each machine starts whatever is needed
        return 0
    from bench.runs.machines import following, leading

    if launch.machine > 0:
        with following(launch):
            prepare(arguments)
            return follow_first(launch, arguments)
    with leading(launch) as others:
        prepare(arguments)
        request = replace(run_request(arguments), others=others)
        return answer(arguments, request) if arguments.experiment else compare(request, arguments)


def prepare(arguments: argparse.Namespace) -> None:
    """Refuse what can be refused at once, and begin to import what workers need."""
    check_data(arguments.data)
    refuse_together(arguments)
    from bench.runs import warm

    if arguments.device in ("auto", "cpu"):
        warm.start_importing()


def follow_first(launch: "Launch", arguments: argparse.Namespace) -> int:
    """What a machine does that is not the first of several: its part of every run."""
    from bench.data.library import default_cache
    from bench.runs.launch import work_with_others
    from bench.runs.machines import Here, follow

    out, cache = arguments.out or default_out(arguments), arguments.cache or default_cache()
    return follow(launch, Here(out, cache, arguments.data, arguments.skip_bad), work_with_others)


def compare(request: "RunRequest", arguments: argparse.Namespace) -> int:
    """All runs that were asked for, and their table; 1 if one is not done."""
    from bench.render.results import write_results
    from bench.runs.runner import run
    from bench.stopping import time_limit
    from bench.storage.records import read_records

    with time_limit(arguments.time_limit):
        undone = run(request)
    if undone and not ResultsFolder(request.out).record_files():
        raise RunFailed(f"{', '.join(undone)} failed, and its record could not be written")
    records = read_records(request.out)  # with what was measured here before, as `bench table` shows it
    made = write_results(request.out, records)
    show(made, records, not undone, arguments, ResultsFolder(request.out).table)
    for name in undone:
        print(f"{name} failed; its row says why, or shows what was measured before", file=sys.stderr)
    return 1 if undone else 0


def show(made: "Table", records: list["Record"], done: bool, arguments: argparse.Namespace, table_file: Path) -> None:
    """Print what a run has come to: one JSON document, or the first rows and where the others are."""
    if arguments.json:
        emit_json(
            {
                "schema_version": 1,
                "done": done,
                "table": made.to_json(),
                "records": [r.to_dict() for r in records],
            }
        )
    else:
        emit_rich(made.to_rich(arguments.all_rows))
        emit("".join(f"- {line}\n" for line in made.warnings), end="")
        emit(f"{table_file} has all rows (here: --all-rows), the legend and pictures.")
