"""Workers that begin at once: one process imports what all of them need, and each worker is forked from it.

On a CPU alone: a fork of a process that knows of a GPU could not use it.
"""

import atexit
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import BaseContext
from multiprocessing.reduction import DupFd
from types import ModuleType
from typing import Any

PRELOAD = "bench.runs.preload"


def start_importing() -> None:
    """Begin, in a process of its own, what every worker has to import; it ends with this process."""
    with quiet_start():
        forkserver.set_forkserver_preload([PRELOAD])
        forkserver.ensure_running()


def context(device: str) -> BaseContext:
    """How workers for a device are started."""
    return multiprocessing.get_context("forkserver" if device == "cpu" else "spawn")


@contextmanager
def quiet_start() -> Iterator[None]:
    """Within it processes start that leave Ctrl+C to this one, and SIGTERM until they know what to do with it.

    A user's own script is not run again in them, as multiprocessing would.
    """
    resource_tracker.ensure_running()  # first: where it starts its own process, it unblocks both signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Inherited:
    """A file descriptor of this process that is given to a process while it starts; there, it is the number."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __reduce__(self) -> tuple[Any, ...]:
        return taken_over, (DupFd(self.descriptor),)


def taken_over(duplicate: Any) -> int:
    return duplicate.detach()


def begin_worker(stderr: int, environment: dict[str, str]) -> None:
    """What comes first in a worker: it says everything on a run's stderr, and ends like any other process."""
    os.dup2(stderr, 1)
    os.dup2(stderr, 2)
    os.environ.clear()
    os.environ.update(environment)
    atexit.unregister(os._exit)  # of the process that it was forked from
