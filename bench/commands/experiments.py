"""`bench experiments`: which questions can be asked, and how far they are; `bench run --experiment` answers one."""

import argparse
import sys
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bench.commands.arguments import positive_int, shard
from bench.commands.asked import DEFAULTS
from bench.commands.output import emit_json, emit_lines
from bench.config import Sizes
from bench.errors import BadInput
from bench.storage.folder import ResultsFolder

if TYPE_CHECKING:
    from bench.experiments.experiment import Experiment
    from bench.runs.request import RunRequest

SCHEMA_VERSION = 1
NOT_SENT = ("inception_weights", "extractors", "report_to", "time_limit", "checkpoint_seconds")  # to Ray's nodes
RESULTS = tuple(Path("results") / room for room in ("local/claims", "claims", "."))  # where answers are looked for


def add(parser: argparse.ArgumentParser) -> None:
    parser.description = "Each experiment is a file in bench/experiments/; `bench run --experiment NAME` answers it."
    parser.set_defaults(command=run)
    parser.add_argument("names", nargs="*", metavar="NAME", help="some of them, or files of yours (default: all)")
    parser.add_argument("--hours", action="store_true", help="time a few steps, and estimate the hours here")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write each answer so far to DIR/NAME/experiment.md")
    parser.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    from bench.experiments.experiment import find, names

    found = [find(name) for name in arguments.names or names()]
    listed = [about(experiment, arguments.hours, arguments.out) for experiment in found]
    if arguments.json:
        emit_json({"schema_version": SCHEMA_VERSION, "experiments": listed})
    else:
        emit_lines(line for each in listed for line in lines_of(each))
    return 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `bench run` is told of an experiment."""
    options = parser.add_argument_group("answer an experiment, in place of a comparison")
    options.add_argument("--experiment", metavar="NAME", help="as `bench experiments` lists it, or FILE.toml")
    options.add_argument("--reuse", type=Path, metavar="DIR", help="take the records of the very same runs from there")
    options.add_argument("--shard", type=shard, metavar="I/N", help="do the I-th of N shares of its runs")
    options.add_argument("--engine", choices=("ray",), help="do its runs as Ray tasks (extra [ray])")
    options.add_argument("--cluster", metavar="ADDRESS", help="Ray's, or auto (default: this machine alone)")
    options.add_argument("--cpus-per-run", type=positive_int, metavar="N", help="set aside by Ray (default 1)")


def refuse_together(arguments: argparse.Namespace) -> None:
    """BadInput for options of `bench run` that an experiment's file decides, or that only an experiment has."""
    if not arguments.experiment:
        only = ("shard", "reuse", "engine", "cluster", "cpus_per_run")
        if alone := [f"--{name.replace('_', '-')}" for name in only if getattr(arguments, name)]:
            raise BadInput(f"{', '.join(alone)} is for an experiment: name one by --experiment")
        return
    decided = DEFAULTS | {"only_missing": False, "json": False, "all_rows": False, "budget": None, "match": None}
    decided |= {field.name: None for field in fields(Sizes) if field.name != "budgets"}
    given = [f"--{name.replace('_', '-')}" for name, none in decided.items() if getattr(arguments, name) != none]
    if arguments.engine == "ray":
        given += [f"--{name.replace('_', '-')}" for name in NOT_SENT if getattr(arguments, name)]
        if arguments.mixed_precision is None or arguments.processes not in (None, 1):
            raise BadInput("--engine ray needs --mixed-precision, the same on every node, and one process a run")
    elif arguments.cluster or arguments.cpus_per_run:
        raise BadInput("--cluster and --cpus-per-run are for --engine ray: add that")
    if given:
        raise BadInput(f"beside --experiment leave out {', '.join(given)}")


def answer(arguments: argparse.Namespace, request: "RunRequest") -> int:
    """Do what is missing of an experiment, and print what it answers; 1 if a run of this share is not done."""
    from bench.experiments.cluster import Place, run_on_cluster
    from bench.experiments.experiment import find
    from bench.experiments.matrix import Engine, Matrix, one_after_another, run_matrix
    from bench.render.experiment import experiment_lines
    from bench.stopping import time_limit

    matrix, engine = Matrix(find(arguments.experiment), request), cast("Engine", one_after_another)
    if arguments.engine == "ray":
        place = Place(arguments.cluster, arguments.cpus_per_run or 1)
        engine = partial(run_on_cluster, given=arguments.experiment, place=place)
    with time_limit(arguments.time_limit):
        undone = run_matrix(matrix, arguments.shard or (1, 1), arguments.reuse, engine)
    emit_lines(experiment_lines(read(ResultsFolder(request.out).experiment)))
    for name in undone:
        print(f"{name} is not done", file=sys.stderr)
    return 1 if undone else 0


def about(experiment: "Experiment", timed: bool, out: Path | None) -> dict[str, Any]:
    """An experiment's question, its runs, how many are done and what they say, and the hours of the others here."""
    from bench.experiments.hours import times_of_runs
    from bench.experiments.matrix import write_answer

    times = times_of_runs(experiment) if timed else None
    answer: dict[str, Any] | None
    if out is not None:  # from the records, whatever stood there
        answer = write_answer(experiment, out / experiment.name, estimated=times)
    else:
        there = [path for root in RESULTS if (path := ResultsFolder(root / experiment.name).experiment).exists()]
        answer = read(there[0]) if there else None
    arms = answer["arms"] if answer else []
    done = {arm["name"]: len({*arm["done"]} & {*experiment.seeds}) for arm in arms}
    left = {name: len(experiment.seeds) - done.get(name, 0) for name in experiment.arms}
    return {
        "name": experiment.name,
        "question": experiment.question,
        "runs": len(experiment.cells),
        "done": sum(done.values()),
        "verdict": answer and answer["verdict"],
        "hours": None if times is None else sum(left[name] * times[name]["seconds"] for name in left) / 3600,
    }


def read(path: Path) -> dict[str, Any]:
    """An answer; BadInput that names one that cannot be read."""
    from bench.render.experiment import read_answer

    try:
        return read_answer(path)
    except (OSError, ValueError) as error:
        raise BadInput(f"'{path}' cannot be read ({error}): run the experiment again, or delete it") from error


def lines_of(listed: dict[str, Any]) -> list[str]:
    verdict = f", {listed['verdict']}" if listed["done"] else ""
    told = "" if listed["hours"] is None else f", about {listed['hours']:.1f} h are left here"
    state = f"{listed['done']} of {listed['runs']} runs{verdict}{told}"
    return [f"{listed['name']}: {state}", f"  {listed['question']}"]
