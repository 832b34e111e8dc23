"""Runs of experiments, many at a time on one GPU: a small model leaves most of it idle, and a run alone takes minutes.

Each of `--slots` processes takes one run after another, in the order given, until the minutes are over; every record
lies in --out/EXPERIMENT as soon as it is made, and `--reuse` of `bench run` takes it from there. The GPU is shared, so
no step is timed. See README.md beside this.
"""

import argparse
import ctypes
import itertools
import multiprocessing
import os
import queue
import shutil
import signal
import sys
import time
import traceback
from multiprocessing.queues import Queue
from pathlib import Path

BY_SEED = "by-seed:"
Group = list[tuple[str, str, int]]  # runs that one process does in one folder: experiment, arm, seed


def main() -> int:
    arguments = parser().parse_args()
    arguments.out = arguments.out.resolve()
    arguments.out.mkdir(parents=True, exist_ok=True)
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    began, context = time.monotonic(), multiprocessing.get_context("spawn")
    groups = [group for word in arguments.experiments for group in groups_of(word)]
    waiting: Queue[Group] = context.Queue()
    for group in groups:
        waiting.put(group)
    print(f"{len(groups)} groups, {sum(map(len, groups))} runs", flush=True)
    slots = [
        context.Process(target=work, args=(number, waiting, arguments))
        for number in range(min(arguments.slots, len(groups)))
    ]
    for slot in slots:
        slot.start()
    while any(slot.is_alive() for slot in slots) and time.monotonic() - began < 60 * arguments.minutes:
        time.sleep(1)
    for slot in slots:
        slot.kill()
    made, wanted = len(list(arguments.out.glob("*/records/*.json"))), sum(map(len, groups))
    print(f"{made} of {wanted} records after {time.monotonic() - began:.0f} s", flush=True)
    return 0 if made >= wanted else 1


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "experiments", nargs="+", help="NAME or NAME@ARM|ARM; of by-seed:NAME+NAME one process does a seed"
    )
    options.add_argument("--out", type=Path, required=True, help="of records, and a log of every process")
    options.add_argument("--scratch", type=Path, default=Path("/tmp/side-by-side"), help="of what is not kept")
    options.add_argument("--slots", type=int, default=15, help="processes (default 15)")
    options.add_argument("--minutes", type=float, default=5.0)
    options.add_argument("--device", default="cuda")
    options.add_argument("--cache", type=Path, required=True)
    return options


def groups_of(word: str) -> list[Group]:
    """The runs of an experiment, or of some of its arms; with `by-seed:`, a seed is one group: one run may train."""
    from bench.experiments.experiment import find

    by_seed = word.startswith(BY_SEED)
    groups: dict[int, Group] = {}
    for part in word.removeprefix(BY_SEED).split("+"):
        name, _, arms = part.partition("@")
        experiment = find(name)
        chosen = arms.split("|") if arms else list(experiment.arms)
        assert set(chosen) <= set(experiment.arms), (chosen, list(experiment.arms))
        for seed in experiment.seeds:
            groups.setdefault(seed, []).extend((name, arm, seed) for arm in chosen)
    return list(groups.values()) if by_seed else [[run] for group in groups.values() for run in group]


def work(number: int, waiting: "Queue[Group]", arguments: argparse.Namespace) -> None:
    """Take groups until there are none; what is said goes to a log of this process."""
    log = (arguments.out / f"slot-{number:02d}.log").open("w", buffering=1)
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG: end with the one that started this process
    prepare()
    for turn in itertools.count():
        try:
            group = waiting.get(timeout=1)
        except queue.Empty:
            return
        for run in group:  # in one folder, where the others find the model of the first
            began = time.monotonic()
            try:
                done = do(run, f"{number:02d}-{turn:02d}", arguments)
            except BaseException:
                traceback.print_exc()
                done = False
            print(f"== {run}: {'done' if done else 'NOT DONE'}, {time.monotonic() - began:.1f} s", flush=True)


def prepare() -> None:
    """Have `bench run` train in this process, time nothing, and draw no more than the samples."""
    from bench.cost import costs
    from bench.runs import configure, runner, worker

    plain, known = costs.account, {}

    def account(name: str, setting: object, recipe: object) -> dict:
        """The same, once for all recipes that train by one optimiser."""
        key = (name, setting, recipe.optimisation, recipe.ema_decay)
        if key not in known:
            known[key] = plain(name, setting, recipe)
        return known[key]

    costs.account = account
    worker.step_costs = lambda *_: {}
    runner.machine_peaks = lambda *_: {}
    runner.another_seed_has_pictures = lambda *_: True
    runner.run_in_processes = lambda job, *_: (write(job), worker.main(job.folder.job))
    configure.layouts_for = lambda request, *_: ("no", dict.fromkeys(request.contestants, "contiguous"))


def write(job: object) -> None:
    from bench.storage import durable

    durable.write_text(job.folder.job, job.to_json())


def do(run: tuple[str, str, int], folder: str, arguments: argparse.Namespace) -> bool:
    """One run, in this process; its record goes to where it is kept."""
    from bench.commands import run as command
    from bench.commands.asked import run_request
    from bench.experiments.experiment import Cell, find
    from bench.experiments.matrix import Matrix
    from bench.runs.runner import run as bench_run

    name, arm, seed = run
    asked = argparse.ArgumentParser()
    command.add(asked)
    out = arguments.scratch / folder
    words = ["--experiment", name, "--device", arguments.device, "--mixed-precision", "no", "--out", str(out)]
    told = asked.parse_args([*words, "--cache", str(arguments.cache), "--checkpoint-seconds", "100000"])
    told.processes = 1
    matrix, cell = Matrix(find(name), run_request(told)), Cell(arm, seed)
    label = matrix.experiment.run_name(cell)
    kept = arguments.out / matrix.experiment.name / "records" / f"{label}.json"
    if kept.exists():
        return True
    undone = bench_run(matrix.request_of(cell))
    if not undone:
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(out / "records" / kept.name, half := kept.with_suffix(".half"))
        half.replace(kept)  # whole or not at all: this process may be killed
    return not undone


if __name__ == "__main__":
    sys.exit(main())
