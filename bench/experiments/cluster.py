"""The runs of an experiment as Ray tasks: each on the node that has room for it, and again where a node was lost."""

import ctypes
import functools
import getpass
import hashlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.data.library import default_cache
from bench.environment import training_code
from bench.errors import BadInput, words_of
from bench.experiments.experiment import Cell, file_of, names
from bench.experiments.matrix import Matrix
from bench.storage import durable
from bench.storage.folder import ResultsFolder
from bench.storage.lock import lock

BAD_INPUT, ENDS_IN = 2, 20.0  # an exit status; seconds in which the worker of a lost task ends
RETRIES = 3  # of a run whose node, or whose process, was lost
SENT = ("records", "images", "weights")  # folders of a run's results that come back


@dataclass(frozen=True)
class Place:
    """Where, and with what, the runs of an experiment are done."""

    address: str | None = None  # of a cluster; None: one is started on this machine
    cpus: int = 1  # that each run needs


@dataclass(frozen=True)
class Order:
    """One run as a node is told of it: the experiment's text, the run's share of it, and options of `bench run`."""

    experiment: str
    text: str
    share: str
    options: tuple[str, ...]
    cpus: int
    whose: str  # by whom, with which code and for which results: others keep other state

    @property
    def folder(self) -> Path:
        """Where the node keeps what the run resumes from: the same after a retry, if it is the same node."""
        digest = hashlib.sha256(repr((self.text, self.share, self.options, self.whose)).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / "unet-by-hand" / digest


@dataclass(frozen=True)
class Delivery:
    """What came of it: files by their path in a results folder, the exit status, and the last line that was said."""

    files: dict[str, bytes]
    status: int
    said: str
    node: str


def run_on_cluster(matrix: Matrix, cells: list[Cell], given: str, place: Place) -> Iterator[dict[Cell, str]]:
    """Do cells as tasks; after each has ended, why it is lost, if it is: its files lie in the results folder then.

    `given`: the experiment as the user named it.
    """
    with lock(matrix.request.out), cluster(place) as ray:
        gpus = 1 if matrix.request.device == "cuda" else 0
        task = ray.remote(max_retries=RETRIES, num_cpus=place.cpus, num_gpus=gpus)(do)
        wanted, there = {"CPU": place.cpus, "GPU": gpus}, ray.cluster_resources()
        if lacking := [kind for kind, count in wanted.items() if there.get(kind, 0) < count]:
            told = ", ".join(f"{there.get(kind, 0):g} {kind}" for kind in lacking)
            raise BadInput(f"no run can begin: the cluster has {told}: ask for less by --cpus-per-run")
        waiting = {task.remote(asdict(order_of(matrix, given, cell, place.cpus))): cell for cell in cells}
        while waiting:
            (ended,), _ = ray.wait(list(waiting), num_returns=1)
            cell = waiting.pop(ended)
            try:
                yield taken(matrix, cell, Delivery(**ray.get(ended)))
            except ray.exceptions.RayTaskError as error:  # our own code, or the node's disk
                yield {cell: f"its task failed: {words_of(error.cause)}"}
            except ray.exceptions.RayError as error:
                yield {cell: f"lost with its node, {RETRIES + 1} times ({type(error).__name__})"}


@contextmanager
def cluster(place: Place) -> Iterator[ModuleType]:
    """Ray, connected; BadInput without it, or without the cluster."""
    try:
        import ray
    except ImportError as error:
        raise BadInput("--engine ray needs Ray: pip install -e '.[ray]'") from error
    try:
        own: dict[str, Any] = {} if place.address else {"include_dashboard": False}
        ray.init(address=place.address or "local", log_to_driver=False, logging_level=logging.ERROR, **own)
    except (OSError, ValueError, RuntimeError) as error:
        told = f"--cluster {place.address}" if place.address else "Ray on this machine"
        raise BadInput(f"{told} cannot be had ({error}): start it, or leave out --engine ray") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def order_of(matrix: Matrix, given: str, cell: Cell, cpus: int) -> Order:
    """A cell as its share of all runs, and the user's options for the machine that does it."""
    request, cells = matrix.request, matrix.experiment.cells
    options = [f"--device={request.device}"]
    options += [f"--cache={request.cache.resolve()}"] if request.cache != default_cache() else []
    options += [f"--mixed-precision={request.mixed_precision}"] if request.mixed_precision else []
    share = f"{cells.index(cell) + 1}/{len(cells)}"
    name, begun = matrix.experiment.run_name(cell), ResultsFolder(request.out).replaced
    anew = (begun / f"{name}.txt").read_text() if (begun / f"{name}.txt").exists() else ""
    code = training_code(matrix.experiment.arms[cell.arm].contestant_name)
    whose = " ".join([getpass.getuser(), str(request.out.resolve()), code, anew])
    return Order(given, file_of(given).read_text(), share, tuple(options), cpus, whose)


def do(fields: dict[str, Any]) -> dict[str, Any]:
    """On a node: do a run in a process of its own, which ends with this one."""
    order = Order(**fields)
    folder, out = order.folder, order.folder / "out"
    folder.mkdir(parents=True, exist_ok=True)
    words = ["run", "--experiment", named_here(order), "--shard", order.share, "--out", str(out), *order.options]
    environment = {"OMP_NUM_THREADS": str(order.cpus), "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
    ask = functools.partial(
        subprocess.run,
        [sys.executable, "-m", "bench", *words],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        preexec_fn=end_with_parent,
    )
    if (done := ask()).returncode == BAD_INPUT:  # a worker of a lost task may still save, in this folder
        time.sleep(ENDS_IN)
        done = ask()
    files = {str(p.relative_to(out)): p.read_bytes() for each in SENT for p in (out / each).rglob("*") if p.is_file()}
    if done.returncode == 0:  # the record stays, should this answer be lost
        for heavy in (*out.glob(".work/*/checkpoints"), *out.glob(".work/*/trunk")):
            shutil.rmtree(heavy, ignore_errors=True)
    said = (done.stderr.strip().splitlines() or [""])[-1]
    return asdict(Delivery(files, done.returncode, said, os.uname().nodename))


def named_here(order: Order) -> str:
    """The experiment's name, or a file with its text where this node has none, or another one, of that name."""
    if order.experiment in names() and file_of(order.experiment).read_text() == order.text:
        return order.experiment
    path = order.folder / f"{Path(order.experiment).stem}.toml"
    path.write_text(order.text)
    return str(path)


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent is gone; its worker then saves and ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG


def taken(matrix: Matrix, cell: Cell, found: Delivery) -> dict[Cell, str]:
    """Write what a node has sent; why there is no record, if there is none."""
    for name, content in found.files.items():
        durable.write_bytes(matrix.request.out / name, content)
    print(f"{cell.arm}, seed {cell.seed}: ended on {found.node} with status {found.status}", file=sys.stderr)
    record = f"records/{matrix.experiment.run_name(cell)}.json"
    return {} if record in found.files else {cell: found.said or f"ended with status {found.status}"}
