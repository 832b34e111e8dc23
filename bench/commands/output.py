"""Standard output, for results alone: one function prints there, and whatever else prints goes to standard error."""

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TextIO

from bench.errors import RunFailed, printable


class CannotPrint(RunFailed):
    """Standard output takes no result; what was written to files is whole."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the result cannot be printed, standard output {why}; files that were written are whole")


@dataclass
class Claimed:
    """The stream that results are printed to, once this process keeps standard output for them."""

    stream: TextIO | None = None
    done: bool = False


CLAIMED = Claimed()
WIDTH = 140  # characters, of what is no terminal


def claim() -> None:
    """Keep standard output for results until this process ends; file descriptor 1 leads to standard error from now on.

    So nothing that a plug-in prints, in Python or in C, now or as the process ends, gets between the results.
    """
    if sys.stderr is None:  # closed: what is said there is said to nobody
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        sys.stderr = open(2, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115 - until the process ends
    if sys.stdout is not None:  # else it is closed
        encoding = sys.stdout.encoding
        CLAIMED.stream = open(os.dup(1), "w", encoding=encoding, errors="backslashreplace")  # noqa: SIM115
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    CLAIMED.done = True


def emit(text: str = "", end: str = "\n") -> None:
    """Print a result, whole; what the encoding lacks is escaped. CannotPrint if nobody can get it."""
    stream = CLAIMED.stream if CLAIMED.done else sys.stdout
    if stream is None:
        raise CannotPrint("is closed")
    try:
        print(text, end=end, file=stream, flush=True)
    except BrokenPipeError as error:
        drop_unwritten(stream)
        raise CannotPrint("is read by nobody any more") from error
    except (OSError, ValueError) as error:
        drop_unwritten(stream)
        raise CannotPrint(f"refuses it ({getattr(error, 'strerror', None) or error})") from error


def drop_unwritten(stream: TextIO) -> None:
    """Let what a stream still holds go nowhere, or Python would try to write it once more at the end."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):  # it has no file, or is closed
        return


def emit_rich(renderable: Any) -> None:
    """Print what rich can draw: for the terminal if there is one, else `WIDTH` characters wide and without colours."""
    from rich.console import Console

    stream = CLAIMED.stream if CLAIMED.done else sys.stdout
    if stream is None:
        raise CannotPrint("is closed")
    console = Console(file=stream, width=None if stream.isatty() else WIDTH)
    with console.capture() as drawn:
        console.print(renderable)
    emit(drawn.get(), end="")


def emit_lines(lines: Iterable[str]) -> None:
    """Print lines for a person: what a terminal would obey, such as an escape sequence, is taken out."""
    emit("\n".join(map(printable, lines)))


def emit_json(document: Any) -> None:
    """Print one JSON document."""
    emit(json.dumps(document, indent=1, allow_nan=False))
