"""What ended a command or a run, as an exit status and one line: the one place that words an unforeseen error."""

import os
import resource
import sys
import traceback
from concurrent.futures.process import BrokenProcessPool

from bench.errors import BadInput, RunFailed
from bench.text import line_of, place_of, printable

TRACEBACK = "UNET_BENCH_TRACEBACK"  # set in the environment, it shows where an unforeseen error was raised
NO_MEMORY = (
    "allocate memory", "out of memory", "failed to map segment", "std::bad_alloc", "can't start new thread",
)  # fmt: skip


def status_and_line(error: BaseException) -> tuple[int, str]:
    """The exit status and the line that an error ends a command with: 2 for bad input, 1 for all else."""
    if isinstance(error, BrokenProcessPool):
        return 1, "a process that helps this one was killed (out of memory?): run again"
    more = "" if is_foreseen(error) or lacks_memory(error) else f"; {TRACEBACK}=1 shows the traceback"
    return 2 if isinstance(error, BadInput) else 1, f"{words_of(error)}{more}"


def words_of(error: BaseException) -> str:
    """What went wrong, in one line: for stderr, and for the row of a run that failed."""
    if is_foreseen(error):
        return printable(str(error))
    if lacks_memory(error):
        return f"out of memory{memory_limit()}: give it more, or ask for less ({line_of(error)})"
    return f"{line_of(error)}{place_of(error)}"


def is_foreseen(error: BaseException) -> bool:
    """Whether an error was raised to be read by a user, remedy and all."""
    return isinstance(error, (BadInput, RunFailed))


def lacks_memory(error: BaseException) -> bool:
    """Whether an error is one of the many that a lack of memory raises; libraries may fail at being loaded, too."""
    return isinstance(error, MemoryError) or any(words in line_of(error) for words in NO_MEMORY)


def memory_limit() -> str:
    """` at this process' limit of 2.0 GiB (ulimit -v)`, if one is set."""
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    return "" if most == resource.RLIM_INFINITY else f" at this process' limit of {most / 2**30:.1f} GiB (ulimit -v)"


def show_traceback(error: BaseException) -> None:
    """Print where an error was raised, if that was asked for."""
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error, file=sys.stderr)
