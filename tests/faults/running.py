"""Real runs that do not end by themselves, for tests that stop, kill and watch them."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from bench.storage.checkpoint import load_newest
from tests.invoking import PLUG_IN, ROOT, TINY

PRELOAD = "bench.runs.preload"  # what the process imports from which the workers of a user's run are forked
LONG = [*TINY, "--epochs=100000", "--contestants=tests.plug_in:build", "--mixed-precision=no"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def started(tmp_path, cache):
    """A run that will not end by itself, once it trains; whatever is left of it is cleared away."""
    runs = []

    def start(*more, **options):
        command = [sys.executable, *options.pop("launcher", ["-m", "bench"]), "run", *LONG, "--cache", str(cache)]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"} | options.pop("environment", {})
        with (tmp_path / "errors").open("w") as errors:
            run = subprocess.Popen(
                [*command, "--out", str(tmp_path / "out"), *more],
                cwd=ROOT, env=environment, stderr=errors, stdout=subprocess.DEVNULL, start_new_session=True, **options,
            )  # fmt: skip
        runs.append(run)
        return run

    yield start
    for run in runs:
        for process in family(run.pid):
            process.kill()
        run.wait(30)


def family(pid):
    """A process and all below it that still run."""
    try:
        return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def trains(out, steps=1, seconds=300):
    """Wait until `steps` checkpoints have been seen."""
    seen, deadline = set(), time.time() + seconds
    while len(seen) < steps:
        assert time.time() < deadline, "it does not train"
        seen |= {path.name for path in (out / ".work").glob("*/checkpoints/leg-*")}
        time.sleep(0.02)


def workers_of(run):
    """The workers of a run: they are forked from the process that has imported everything, with its command line."""
    importing = [process for process in family(run.pid) if PRELOAD in " ".join(process.cmdline())]
    return [process for process in importing if process.parent() in importing]


def training(out, name=PLUG_IN):
    return load_newest(out / ".work" / name / "checkpoints").state["log"]
