"""SIGTERM, taken at once or, while something must be saved first, at the next good moment."""

import atexit
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn

import psutil

STOPPED, INTERRUPTED = 143, 130  # exit statuses, as a shell gives them


class TimeIsUp(KeyboardInterrupt):
    """The time limit is over: all stops as at Ctrl+C, and can go on later."""


@dataclass
class Deadline:
    """When this process's time is over, by the monotonic clock: each run of a matrix sets aside time before it."""

    at: float = math.inf


deadline = Deadline()


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """TimeIsUp in the main thread, if the block is not over so many seconds after this process began; None: never."""
    spent = time.time() - psutil.Process().create_time()  # torch alone takes seconds to be imported
    deadline.at = math.inf if seconds is None else time.monotonic() + seconds - spent

    def end(*_: object) -> None:
        raise TimeIsUp

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, max(seconds - spent, 0.001) if seconds else 0.0)
    try:
        yield
    finally:
        deadline.at = math.inf
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def reserve_time(seconds: float) -> float:
    """End that many seconds before the limit, to have time to save; what is left until then, infinite if unlimited."""
    left = deadline.at - time.monotonic() - seconds
    if left < math.inf:
        signal.setitimer(signal.ITIMER_REAL, max(left, 0.001))
    return left


class Stopped(SystemExit):
    """The end of this process that SIGTERM asked for, as a plug-in's own exit is not."""

    def __init__(self) -> None:
        super().__init__(STOPPED)


class Stopping:
    """What SIGTERM has asked of this process; asked twice, it is still asked once."""

    def __init__(self) -> None:
        self.asked = False
        self.waits = False
        signal.signal(signal.SIGTERM, self.ask)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # a worker is started with it blocked

    def ask(self, *_: object) -> None:
        first, self.asked = not self.asked, True
        if first and not self.waits:
            raise Stopped

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Within the block nothing is cut short: the process stops at its end, or where `asked` is looked at."""
        self.waits = True
        try:
            yield
        finally:
            self.waits = False
        if self.asked:
            raise Stopped


def stop_with_parent() -> None:
    """Ask this process to stop when the one that started it is gone, however it went."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a closed terminal ends the parent, and that is enough
    threading.Thread(target=watch, daemon=True).start()


def run_and_leave(main: Callable[[], int]) -> NoReturn:
    """Run a process' main function, and end the process with its status once what libraries want done is done.

    Python itself would then take all modules apart, and once diffusers is imported that takes two seconds.
    """
    try:
        status = main()
    except SystemExit as end:
        if not isinstance(end.code, int):
            raise
        status = end.code
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is about to end
    signal.signal(signal.SIGINT, lambda *_: os._exit(status))
    threading._shutdown()  # type: ignore[attr-defined]  # what libraries want done at the end is done, as at any end
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # none, or closed, or nobody reads it any more
            stream.flush()
    os._exit(status)
