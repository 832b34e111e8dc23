"""What strangers wrote, as text of one line: of files and records, and of whatever their code raised."""

import traceback
from pathlib import Path

LONGEST = 300  # characters of what an error says of itself


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
