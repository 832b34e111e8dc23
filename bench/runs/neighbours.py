"""Torch's threads beside other processes: they spin while they wait for each other, unless the cores are in demand.

Spinning is fastest alone and ruinous in company: on two cores, beside a second process of its kind, a training step
took 40 times as long. libgomp, torch's OpenMP on Linux, stops spinning (after 1,000 turns) while a process has more of
its threads than there are cores. So while others want the cores, one more thread of ours holds a pool of its own.
"""

import threading
import time
from types import TracebackType

import psutil
import torch

from bench.training.trainer import TrainingLog

INTERVAL = 1.0  # seconds between two looks
BUSY = 0.25  # cores that others use beyond what our threads leave over: from here on they wait for each other
QUIET_LOOKS = 5  # in a row, after which our threads spin again
PARALLEL = 1 << 20  # elements: enough that torch shares the work among its threads


class YieldingThreads:
    """While it is open, torch's threads give their core away when they wait."""

    def __init__(self) -> None:
        self.closing, ready = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.hold, args=(ready,), daemon=True)
        self.thread.start()
        ready.wait()

    def hold(self, ready: threading.Event) -> None:
        torch.zeros(PARALLEL).add_(1)  # from now on this thread has a pool of OpenMP's threads, until it ends
        ready.set()
        self.closing.wait()

    def close(self) -> None:
        self.closing.set()
        self.thread.join()


class Neighbours:
    """Watches, in a thread, how much of the cores others use, and has torch's threads yield to them meanwhile."""

    def __init__(self, interval: float = INTERVAL) -> None:
        self.interval = interval
        self.log = TrainingLog()
        self.yielding: YieldingThreads | None = None
        self.quiet = 0
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self) -> "Neighbours":
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ending.set()
        self.thread.join()
        if self.yielding is not None:
            self.yielding.close()

    def watch(self) -> None:
        before = reading()
        while not self.ending.wait(self.interval):
            now = reading()
            self.look(cores_of_others(before, now), now[0] - before[0])
            before = now

    def look(self, cores: float, seconds: float) -> None:
        """Have our threads yield, or spin again, after `seconds` in which others used so many cores."""
        busy = cores > max(0, psutil.cpu_count() - torch.get_num_threads()) + BUSY
        self.log.watched_seconds += seconds
        self.log.busy_seconds += seconds if busy else 0.0
        self.quiet = 0 if busy else self.quiet + 1
        if busy and self.yielding is None:
            self.yielding = YieldingThreads()
        elif self.quiet >= QUIET_LOOKS and self.yielding is not None:
            self.yielding.close()
            self.yielding = None

    def count_in(self, log: TrainingLog) -> None:
        """Count in a training log from now on, which goes on where the run was stopped."""
        log.watched_seconds += self.log.watched_seconds
        log.busy_seconds += self.log.busy_seconds
        self.log = log

    def busy_share(self) -> float:
        """The share of the time watched in which others wanted the cores: times measured then are too long."""
        return self.log.busy_seconds / self.log.watched_seconds if self.log.watched_seconds else 0.0


def reading() -> tuple[float, float, float]:
    """The time, and the seconds that all processes, and this one with its children that ended, have had of the cores.

    What a host gives to other guests (steal) counts as used by others.
    """
    here, machine = psutil.Process().cpu_times(), psutil.cpu_times()
    idle = machine.idle + getattr(machine, "iowait", 0.0)
    counted_twice = getattr(machine, "guest", 0.0) + getattr(machine, "guest_nice", 0.0)
    return time.monotonic(), sum(machine) - idle - counted_twice, here.user + here.system


def cores_of_others(before: tuple[float, float, float], now: tuple[float, float, float]) -> float:
    """How many cores other processes used between two readings."""
    seconds, all_used, own = (b - a for a, b in zip(before, now, strict=True))
    return max(0.0, (all_used - own) / seconds)
