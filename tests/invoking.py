"""Commands for tests: in this process, which costs no imports, or as the real processes that a user starts."""

import contextlib
import ctypes
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from bench.commands import cli
from bench.commands.output import CLAIMED
from bench.runs import warm
from tests.less import measured_less

warm.PRELOAD = "tests.preload"  # of what this process starts
ROOT = Path(__file__).parents[1]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
TINY = [
    "--image-size=16", "--scale=0.03125", "--images=74", "--epochs=2", "--batch-size=16", "--samples=4",
    "--curve-samples=4", "--sweep-samples=2", "--judge-steps=3", "--device=cpu",
]  # fmt: skip
WHOLE = [*TINY, "--full-samples=2"]  # by all 300 steps of the schedule
PLUG_IN = "tests.plug_in.build-matched-seed0"


@dataclass(frozen=True)
class Done:
    """A command that has ended: its exit status, its results, and all else that it and its workers said."""

    returncode: int
    stdout: str
    stderr: str


def bench(*arguments: object) -> Done:
    """`python -m bench …` in this process: the same results on stdout, and all else on the same file descriptor 2.

    What main() changes of a process is put back: how it takes signals, its environment, its streams. What is measured
    is measured less often than in a user's run: see tests/less.py.
    """
    with measured_less(), in_a_process_of_its_own() as (stdout, stderr):
        try:
            status = cli.main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = int(end.code or 0)
        sys.stderr.flush()
        stderr.seek(0)
        return Done(status, stdout.getvalue(), stderr.read())


@contextlib.contextmanager
def in_a_process_of_its_own() -> Iterator[tuple[io.StringIO, TextIO]]:
    """What a process starts with and `bench.commands.output.claim` does to it; yields results and standard error."""
    results = io.StringIO()
    with (
        handlers_restored(),
        environment_restored(COLUMNS="140", HF_HUB_OFFLINE="1"),
        contextlib.chdir(ROOT),
        tempfile.TemporaryFile("w+", errors="backslashreplace", buffering=1) as words,
        descriptors_lead_to(words.fileno()),
        open(2, "w", errors="backslashreplace", buffering=1, closefd=False) as said,
        contextlib.redirect_stderr(said),
        contextlib.redirect_stdout(said),
        claimed(results),
    ):
        yield results, words


@contextlib.contextmanager
def handlers_restored() -> Iterator[None]:
    """Within it signals may be handled otherwise, as main() does."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def environment_restored(**more: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def descriptors_lead_to(file: int) -> Iterator[None]:
    """Within it, whatever C or a worker writes to standard output or standard error goes to a file."""
    kept = [os.dup(1), os.dup(2)]
    os.dup2(file, 1), os.dup2(file, 2)
    try:
        yield
    finally:
        ctypes.CDLL(None).fflush(None)  # what C holds back
        for number, old in zip((1, 2), kept, strict=True):
            os.dup2(old, number)
            os.close(old)


@contextlib.contextmanager
def claimed(stream: TextIO) -> Iterator[None]:
    before = CLAIMED.stream, CLAIMED.done
    CLAIMED.stream, CLAIMED.done = stream, True
    try:
        yield
    finally:
        CLAIMED.stream, CLAIMED.done = before


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "bench", *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    """Of a real process: this checkout is what it imports."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", "COLUMNS": "140"} | more


def bench_process(*arguments: object, **more: Any) -> "subprocess.CompletedProcess[str]":
    """`python -m bench …` as a user starts it; it takes seconds to import."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, cwd=ROOT, env=environment(), timeout=900, **more
    )


TIMES = {"busy_share", "machine_peak", "step", "sampling", "peak_memory", "resumed_at_epochs", "starts"}
TIMES |= {"checkpoints", "checkpoint_share"}


def timeless(found: Any) -> Any:
    """Every number of a record that is not a time, nor tells of a restart."""
    if isinstance(found, dict):
        return {key: timeless(value) for key, value in found.items() if key not in TIMES and "seconds" not in key}
    return [timeless(value) for value in found] if isinstance(found, list) else found


def measured(out: Path) -> dict[str, Any]:
    return json.loads((out / "records" / f"{PLUG_IN}.json").read_text())["measurements"]
