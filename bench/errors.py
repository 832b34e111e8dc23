"""The ways a command ends badly: its exit status, and the one line that says what is wrong and what to do."""

import difflib
import os
import resource
import sys
import traceback
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

TRACEBACK = "UNET_BENCH_TRACEBACK"  # set in the environment, it shows where an unforeseen error was raised
NO_MEMORY = (
    "allocate memory", "out of memory", "failed to map segment", "std::bad_alloc", "can't start new thread",
)  # fmt: skip
LONGEST = 300  # characters of what an error says of itself


class BadInput(Exception):  # noqa: N818 - the name a user's mistake deserves
    """Bad usage or bad input: exit 2, with one line that names the thing and the remedy."""


class NoRoom(BadInput):
    """A contestant needs more memory, or more of the disk, than this machine has: others may fit."""


class RunFailed(Exception):  # noqa: N818
    """A contestant's run failed: its record says why, the command exits 1."""


class BadContestant(BadInput):
    """A plug-in's own code raises, ends the process or breaks the contract: it gets a row where others go on."""


class CannotWrite(RunFailed):
    """The disk refused a file: nothing half-written is left, and what was there before is still there."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"'{path.name}' cannot be written ({error.strerror}): make room or give access, and run again")


def known(name: str, names: tuple[str, ...] | list[str], what: str) -> str:
    """The name itself if it is one of `names`; BadInput that offers the nearest ones otherwise, whatever their case."""
    if name in names:
        return name
    spellings: dict[str, list[str]] = {}
    for each in names:
        spellings.setdefault(each.lower(), []).append(each)
    alike = [name.lower()] if name.lower() in spellings else difflib.get_close_matches(name.lower(), spellings, 3, 0.4)
    near = [each for lower in alike for each in spellings[lower]] or list(names)
    shown = ", ".join(near[:12]) + (", …" if len(near) > 12 else "")
    raise BadInput(f"unknown {what} '{name}': try {shown}")


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


def printable(text: str) -> str:
    """Text on one line: what cannot be printed, such as a command to the terminal, is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def line_of(error: BaseException) -> str:
    """`ValueError: what it says`, the first line of it; an error may fail even at saying what it is."""
    kind = type(error).__name__
    try:
        first = str(error).strip().partition("\n")[0]
    except Exception:
        return kind
    return printable(f"{kind}: {first}" if first else kind)[:LONGEST]


def place_of(error: BaseException) -> str:
    """` (model.py, line 12)`, where an error was raised; nothing where no file is known."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.name != "refuse"]  # of `no_exit`
    return f" ({printable(Path(frames[-1].filename).name)}, line {frames[-1].lineno})" if frames else ""
