"""Files that are either whole or not there: the only module that writes, syncs, renames and removes."""

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from bench.errors import BadInput, CannotWrite

TEMPORARY = ".*.[0-9]*.tmp"  # what a killed process may leave behind; no reader takes it for anything
NOBODYS = 24 * 3600.0  # seconds: in a folder that others share, an older temporary file is nobody's


def temporary_name(path: Path) -> Path:
    """A name beside `path` that no other process has, also not one with the same number on another machine."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a crash, meets the old content or the new and nothing between.

    CannotWrite where the disk is full, read-only or not allowed.
    """
    temporary = temporary_name(path)
    try:
        make_folder(path.parent)
        try:
            write_new(temporary, data)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise CannotWrite(path, error) from error


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_new(path: Path, data: bytes) -> None:
    """Write a file that nobody reads yet, down to the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_folder(final: Path, contents: dict[str, bytes]) -> None:
    """Write a whole folder of files, in their order, and only then give it its name; CannotWrite as above."""
    with new_folder(final) as temporary:
        for name, content in contents.items():
            write_new(temporary / name, content)
        sync_folder(temporary)


@contextlib.contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """A folder to fill and to sync, that gets its name only after that; CannotWrite as above, and nothing is left."""
    temporary = temporary_name(final)
    try:
        make_folder(final.parent)
        try:
            temporary.mkdir()
            yield temporary
            os.replace(temporary, final)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_folder(final.parent)
    except OSError as error:
        raise CannotWrite(final, error) from error


def sync_tree(folder: Path) -> None:
    """Bring what somebody else's code wrote in a folder, and below it, down to the disk."""
    for path in (*folder.rglob("*"), folder):
        sync_folder(path)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each known to the disk before anything is put in it."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names, or a file's content, down to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_folder(folder: Path) -> None:
    """Take a folder away at once, and its files after that: nobody meets half of it."""
    if folder.exists():
        going = temporary_name(folder)
        try:
            os.replace(folder, going)
        except OSError as error:
            raise CannotWrite(folder, error) from error
        shutil.rmtree(going, ignore_errors=True)


def remove_file(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise CannotWrite(path, error) from error


def sweep(folder: Path, deep: bool = True, older_than: float = 0) -> None:
    """Remove what killed processes have left in a folder and, if `deep`, below it."""
    for left_over in sorted(folder.rglob(TEMPORARY) if deep else folder.glob(TEMPORARY)):
        with contextlib.suppress(OSError):
            if time.time() - left_over.stat().st_mtime >= older_than:
                shutil.rmtree(left_over) if left_over.is_dir() else left_over.unlink()


def check_writable(folder: Path) -> None:
    """BadInput unless files can be made in the folder, which is made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial = temporary_name(folder / "writable")
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise BadInput(f"'{folder}' cannot be written ({error.strerror}): name another place") from error
