"""Whole runs, forked from a process that has imported everything, and cut at any write, fsync, rename or unlink.

A child is a real process and its death a real SIGKILL; only the imports are not done again for each. What differs from
`python -m bench run`: workers are forked, not started anew; the memory layout is not left to the clock; and the
feature extractor sees smaller pictures.
"""

import errno
import functools
import json
import mmap
import os
import random
import shutil
import signal
import struct
import sys
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import torch

from bench.commands import cli
from bench.cost import machine, probe
from bench.quality import interval
from bench.quality.features import EFFICIENTNET, EfficientNetLite0, load_extractor
from bench.record import Record
from bench.render.table.table import table
from bench.runs import warm, worker
from bench.storage import cache, checkpoint, durable
from bench.storage.records import read_records

ARGUMENTS = [
    "run", "--image-size=16", "--scale=0.03125", "--images=24", "--epochs=2", "--batch-size=8", "--samples=2",
    "--curve-samples=2", "--sweep-samples=2", "--judge-steps=3", "--device=cpu", "--mixed-precision=no",
    "--checkpoint-seconds=0.000001",
]  # fmt: skip
CONTESTANT = "tests.plug_in:build"
# Kill the whole process group at an operation, or after some seconds; or refuse every write, as a full disk does.
KILL, MOMENT, REFUSE = "kill", "moment", "refuse"
MANY_EPOCHS = ("--epochs=40",)  # so that most moments lie in training
CHANGING = {
    "seconds",
    "load_average",
    "machine_peak",
    "step",
    "peak_memory",
    "checkpoint_share",
    "checkpoints",
    "busy_share",
}
OF_RESTARTS = {"starts", "resumed_at_epochs", "resumed_at_steps"}


class Counter:
    """How many operations a run and its workers have done, in memory that they share; cuts at the one asked for."""

    def __init__(self, point: int | None, how: str) -> None:
        self.point, self.how = point, how
        self.memory = mmap.mmap(-1, 8)

    @property
    def count(self) -> int:
        return struct.unpack("q", self.memory[:8])[0]

    def reached(self, writes: bool) -> bool:
        """Whether to cut here: this once, or, where the disk is full, at every write from here on."""
        self.memory[:8] = struct.pack("q", self.count + 1)
        if self.point is None:
            return False
        return self.count == self.point if self.how == KILL else writes and self.count >= self.point

    def cut(self) -> None:
        if self.how == KILL:
            os.killpg(0, signal.SIGKILL)
            signal.pause()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def count_operations(counter: Counter) -> None:
    """Every operation of `durable`, the only module that changes files, is counted from now on."""

    def counted(operation: Callable, writes: bool = False) -> Callable:
        def run(*arguments: object, **options: object) -> object:
            if counter.reached(writes):
                if operation is real_write:
                    operation(arguments[0], memoryview(arguments[1])[: len(arguments[1]) // 2])  # type: ignore
                counter.cut()
            return operation(*arguments, **options)

        return run

    real_write = os.write
    durable.os = types.SimpleNamespace(**vars(os))  # type: ignore
    durable.os.write = counted(os.write, writes=True)
    durable.os.fsync = counted(os.fsync, writes=True)
    durable.os.replace = counted(os.replace)
    os.unlink, os.rmdir = counted(os.unlink), counted(os.rmdir)  # shutil's and pathlib's, too


class Forked:
    """A worker as `multiprocessing` would start it, but forked before anything was computed, and waiting for its job.

    (A process in which torch has already computed gradients cannot be forked: its threads would be missing.)
    """

    idle: ClassVar[list["Forked"]] = []

    def __init__(self, target: Callable, args: tuple) -> None:
        vars(self).update(vars(self.idle.pop(0)))
        self.told = str(args[0])

    def start(self) -> None:
        os.write(self.stdin, self.told.encode())

    @classmethod
    def make_ready(cls, number: int) -> None:
        for _ in range(number):
            made = object.__new__(cls)
            made.status = None
            reading, made.stdin = os.pipe()
            made.pid = os.fork()
            if made.pid == 0:
                for other in [*cls.idle, made]:
                    os.close(other.stdin)
                told = os.read(reading, 4096).decode()
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                end_with(reading)
                leave(functools.partial(worker.main, Path(told)) if told else lambda: 0)
            os.close(reading)
            made.sentinel = os.pidfd_open(made.pid)
            cls.idle.append(made)

    @property
    def exitcode(self) -> int | None:
        return self.poll(os.WNOHANG)

    def poll(self, how: int) -> int | None:
        if self.status is None:
            pid, status = os.waitpid(self.pid, how)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
        return self.status

    def join(self) -> None:
        self.poll(0)

    def terminate(self) -> None:
        self.send(signal.SIGTERM)

    def kill(self) -> None:
        self.send(signal.SIGKILL)

    def send(self, number: int) -> None:
        if self.exitcode is None:
            os.kill(self.pid, number)


def end_with(pipe: int) -> None:
    """Ask this process to stop when the other end of a pipe is closed."""

    def watch() -> None:
        while os.read(pipe, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def leave(main: Callable[[], int]) -> None:
    """End this process with the status of `main`, and do nothing of what Python does at its end."""
    status = 1
    torch.set_num_threads(1)  # a fork has to make its pool of threads anew, and not from two threads at once
    try:
        status = main()
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException as error:
        print(f"Traceback: {type(error).__name__}: {error}", file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def prepare() -> None:
    """Once, before anything is forked: no threads that a fork would lose, and no choice left to the clock."""
    torch.set_num_threads(1)
    probe.seconds_per_step = lambda config, train: 1.0
    machine.TIMES = 1
    interval.RESAMPLES = 20
    EfficientNetLite0.SIDE = 32
    load_extractor(EFFICIENTNET, None, "cpu")
    warm.start_importing = lambda: None
    warm.context = lambda device: types.SimpleNamespace(Process=Forked)  # type: ignore
    cli.parser()


def run(out: Path, log: Path, counter: Counter, *more: str, seconds: float | None = None) -> int:
    """A run in a process group of its own; its exit status, below zero if it was killed. Its words are in `log`."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        words = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(words, 1), os.dup2(words, 2)
        count_operations(counter)
        Forked.make_ready(2)
        wanted = [*ARGUMENTS, f"--contestants={CONTESTANT}", f"--out={out}", f"--cache={out / 'cache'}", *more]
        leave(lambda: cli.main(wanted))
    if seconds is not None:
        time.sleep(seconds)
        os.killpg(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def same_clock(found: object, key: str = "") -> object:
    """A record's values with every time, and whatever tells of restarts, replaced by a constant."""
    if key in OF_RESTARTS:
        return []
    if isinstance(found, dict):
        found = found | ({"commit": None} if "commit" in found else {})  # somebody may commit while this goes on
        return {name: same_clock(value, name if name in CHANGING or "seconds" in name else key) for name, value in
                found.items() if name not in OF_RESTARTS} | {n: [] for n in found if n in OF_RESTARTS}  # fmt: skip
    if isinstance(found, list):
        return [same_clock(value, key) for value in found]
    return 1.0 if key and isinstance(found, (int, float)) else found


def outcome(out: Path) -> dict[str, str]:
    """Every file that a finished run leaves, as text that is the same if the result is; times are left out."""
    records = [Record.model_validate(same_clock(record.to_dict())) for record in read_records(out)]
    found = {record.run.name: record.to_json() for record in records}
    found["table"] = table(records).to_markdown()
    assert (out / "table.md").read_text() == table(read_records(out)).to_markdown()
    for folder in sorted(out.glob(".work/*/checkpoints")):
        newest = checkpoint.saved(folder)[-1]
        assert checkpoint.damage(newest) is None
        found[str(newest.relative_to(out))] = checkpoint.sha256((newest / checkpoint.TENSORS).read_bytes())
    for path in sorted([*out.rglob("images/*/*.png"), *out.rglob("samples/*.safetensors")]):
        kept = cache.read(path) if path.suffix != ".png" else None
        content = cache.checksum(kept[0], {}) if kept else checkpoint.sha256(path.read_bytes())
        found[str(path.relative_to(out))] = content
    # The cache is shared with other runs: there what is left over goes when it is a day old.
    left_over = [path.name for path in out.rglob(durable.TEMPORARY) if "cache" not in path.parts]
    assert not left_over, left_over
    assert not (out / ".work" / "lock").read_text()
    return found


def cut_and_resume(folder: Path, point: float, how: str, expected: dict[str, str]) -> dict[str, object]:
    """A run cut at an operation, or after some seconds, and the same command again: how does the result differ?"""
    out, log = folder / f"{how}-{point}", folder / f"{how}-{point}.log"
    if how == MOMENT:
        first = run(out, log, Counter(None, how), *MANY_EPOCHS, seconds=point)
    else:
        first = run(out, log, Counter(int(point), how))
    said = log.read_text()
    second = run(out, log, Counter(None, how), *(MANY_EPOCHS if how == MOMENT else ()))
    again = log.read_text()
    found = outcome(out) if second == 0 else {}
    wrong = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    problem = f"differs in {wrong}: {again[-500:]}" if wrong else "a traceback" if "Traceback" in said else None
    if how == REFUSE and (first not in (0, 1) or (first == 1 and "cannot be written" not in said)):
        problem = f"not refused in order: {said[-500:]}"
    return {
        "point": point,
        "how": how,
        "statuses": [first, second],
        "problem": problem,
        "trained_again": trained(again),
    }


def trained(words: str) -> int:
    """How many epochs a run has ended, by what it said."""
    return sum(": loss " in line for line in words.splitlines())


def main() -> None:
    """`FOLDER kill|refuse FIRST/STRIDE` or `FOLDER moment SEED/COUNT`: cut there; a line of JSON for each.

    The first line tells how many operations, and seconds, a run has that is left alone.
    """
    folder, how, spec = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    first, number = (int(part) for part in spec.split("/"))
    prepare()
    counter, began = Counter(None, how), time.monotonic()
    status = run(folder / "alone", folder / "alone.log", counter, *(MANY_EPOCHS if how == MOMENT else ()))
    lasted = time.monotonic() - began
    assert status == 0, (folder / "alone.log").read_text()
    expected = outcome(folder / "alone")
    print(json.dumps({"operations": counter.count, "seconds": lasted, "files": len(expected)}), flush=True)
    moments = random.Random(first)
    points = range(first, counter.count + 1, number)
    for point in [moments.uniform(0, lasted) for _ in range(number)] if how == MOMENT else points:
        print(json.dumps(cut_and_resume(folder, point, how, expected)), flush=True)
        shutil.rmtree(folder / f"{how}-{point}")


if __name__ == "__main__":
    main()
