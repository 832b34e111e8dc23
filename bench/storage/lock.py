"""One run at a time in a results folder."""

import contextlib
import fcntl
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import psutil

from bench.errors import BadInput
from bench.storage.folder import ResultsFolder

BEAT = 10.0  # seconds between two signs of life
SILENT = 25.0  # seconds without one, after which an owner on another machine counts as dead
ENDING = 10.0  # seconds that workers of a dead owner may take to end


@contextmanager
def lock(out: Path) -> Iterator[int]:
    """Keep a second run out of a results folder; yields the descriptor that holds the lock.

    Workers inherit it, so the lock outlives a killed parent for as long as its worker lives. Where the system's lock
    does not reach over a network's file system, the owner's signs of life do. A dead owner's lock is taken over with
    a word about it; BadInput names an owner that lives.
    """
    path = ResultsFolder(out).lock
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise BadInput(f"'{path}' cannot be written ({error.strerror}): give access, or use another --out") from error
    with file:
        if not locked(file):
            raise in_use(out, owner_of(file))
        before = owner_of(file)
        if before:
            if before.get("host") != socket.gethostname() and gives_signs_of_life(path, before):
                raise in_use(out, before)
            print(f"'{out}' was left by {described(before)}, which is gone: taking over", file=sys.stderr)
        write_owner(file)
        over = threading.Event()
        threading.Thread(target=beat, args=(path, over), daemon=True).start()
        try:
            yield file.fileno()
        finally:
            over.set()
            file.truncate(0)  # left in order: there is nobody to tell of


def locked(file: TextIO) -> bool:
    """Take the system's lock; false if somebody holds it, of whom a killed run's workers get time to end."""
    deadline = time.monotonic() + ENDING
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if lives(owner_of(file)) or time.monotonic() > deadline:
                return False
            time.sleep(ENDING / 100)
        except OSError:  # a file system without locks: signs of life must do
            return True


def lives(owner: dict[str, str]) -> bool:
    """Whether an owner may live: one on another machine, or unknown, may."""
    return owner.get("host") != socket.gethostname() or psutil.pid_exists(int(owner["process"]))


def gives_signs_of_life(path: Path, owner: dict[str, str]) -> bool:
    """Whether an owner on another machine lives: long silent it does not, else it is waited for."""
    last = path.stat().st_mtime
    if time.time() - last >= SILENT:
        return False
    print(f"waiting for a sign of life of {described(owner)}", file=sys.stderr)
    deadline = time.monotonic() + SILENT
    while time.monotonic() < deadline and path.stat().st_mtime == last:
        time.sleep(BEAT / 10)
    return path.stat().st_mtime != last


def owner_of(file: TextIO) -> dict[str, str]:
    """Who stands in a lock file; nothing if it was left in order."""
    file.seek(0)
    text = file.read()
    try:
        return dict(json.loads(text)) if text else {}
    except (ValueError, TypeError):  # cut short, or by another version
        return {"process": "?"}


def write_owner(file: TextIO) -> None:
    file.truncate(0)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    json.dump({"host": socket.gethostname(), "process": os.getpid(), "started": started}, file)
    file.flush()


def beat(path: Path, over: threading.Event) -> None:
    """Give signs of life until the run is over."""
    while not over.wait(BEAT):
        with contextlib.suppress(OSError):
            os.utime(path)


def described(owner: dict[str, str]) -> str:
    where = f" on {owner['host']}" if "host" in owner else ""
    return f"process {owner.get('process', '?')}{where}, started {owner.get('started', '?')}"


def in_use(out: Path, owner: dict[str, str]) -> BadInput:
    return BadInput(f"'{out}' is in use by {described(owner)}: wait, or use another --out")
