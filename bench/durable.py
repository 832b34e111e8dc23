"""Files that are either whole or not there: the only module that renames, syncs and removes."""

import os
import shutil
from pathlib import Path

from bench.errors import BadInput


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a crash, meets the old content or the new and nothing between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def publish_folder(temporary: Path, final: Path) -> None:
    """Give a folder that is completely written its final name."""
    sync_folder(temporary)
    temporary.replace(final)
    sync_folder(final.parent)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_folder(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def check_writable(folder: Path) -> None:
    """BadInput unless files can be made in the folder, which is made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial = folder / f".writable-{os.getpid()}"
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise BadInput(f"'{folder}' cannot be written ({error.strerror}): name another place") from error
