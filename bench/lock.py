"""One run at a time in a results folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import BadInput


@contextmanager
def lock(out: Path) -> Iterator[int]:
    """Keep a second run out of a results folder; yields the descriptor that holds the lock.

    Workers inherit it, so the lock outlives a killed parent for as long as its worker lives.
    """
    path = out / ".work" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise BadInput(f"'{out}' is in use by process {file.read() or '?'}: wait, or use another --out") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file.fileno()
