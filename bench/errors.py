"""The ways a command ends badly, and the exit status of each."""

import difflib
from pathlib import Path


class BadInput(Exception):  # noqa: N818 - the name a user's mistake deserves
    """Bad usage or bad input: exit 2, with one line that names the thing and the remedy."""


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
