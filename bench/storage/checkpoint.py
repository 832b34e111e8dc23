"""Checkpoints that are whole or absent: tensors in safetensors, the rest in JSON, hashes of both in a manifest.

Nothing random is stored, because nothing random here has a history.
"""

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from bench.errors import BadInput, CannotWrite
from bench.storage import durable

TENSORS, STATE, MANIFEST = "tensors.safetensors", "state.json", "manifest.json"
SCHEMA_VERSION = 1
KEPT = 2
COPIES = 4  # of the weights in a checkpoint: themselves, two moments, their average


@dataclass(frozen=True)
class Checkpoint:
    """What training resumes from."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]


def save_checkpoint(folder: Path, at: tuple[int, int, int], checkpoint: Checkpoint) -> None:
    """Write what stands at a leg, an epoch and a step of it; verify it, and only then drop all but the newest two."""
    leg, epoch, step = at
    final = folder / f"leg-{leg:03d}-epoch-{epoch:05d}-step-{step:07d}"
    if final.exists() and damage(final) is None:
        return  # the same place in the same run: it holds the same
    contents = {
        TENSORS: save({name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}),
        STATE: json.dumps(checkpoint.state).encode(),
    }
    files = {name: {"bytes": len(data), "sha256": sha256(data)} for name, data in contents.items()}
    contents[MANIFEST] = json.dumps({"schema_version": SCHEMA_VERSION, "files": files}).encode()
    durable.remove_folder(final)
    durable.write_folder(final, contents)
    why = damage(final)
    if why is not None:
        raise CannotWrite(final, OSError(5, f"read back otherwise than written: {why}"))
    for old in saved(folder)[:-KEPT]:
        durable.remove_folder(old)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def saved(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first."""
    return sorted(folder.glob("leg-*-epoch-*-step-*"))


def damage(path: Path) -> str | None:
    """What is wrong with a checkpoint's files, held against its manifest; None if they are what was written.

    BadInput where the manifest is of a version that this code does not know.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text())
        version, files = manifest["schema_version"], manifest["files"]
        if version != SCHEMA_VERSION:
            raise BadInput(
                f"checkpoint {path.name} has schema_version {version}, this code reads {SCHEMA_VERSION}: use the code "
                "that wrote it, or start over with --fresh"
            )
        for name in (TENSORS, STATE):
            if (path / name).stat().st_size != files[name]["bytes"]:
                return f"{path.name}/{name} has not the size that its manifest says"
            with (path / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != files[name]["sha256"]:
                    return f"{path.name}/{name} has not the content that its manifest says"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{path.name} is incomplete ({type(error).__name__}: {error})".replace(f"{path}/", "")
    return None


def read(path: Path) -> Checkpoint:
    """A checkpoint that was found whole; ValueError if its files, though as their manifest says, are no checkpoint."""
    try:
        return Checkpoint(load((path / TENSORS).read_bytes()), json.loads((path / STATE).read_text()))
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path.name} is no checkpoint ({error})") from error


def load_newest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that verifies; None if none was ever saved, BadInput if every one is damaged."""
    found = saved(folder)
    for path in reversed(found):
        try:
            why = damage(path)
            if why is None:
                return read(path)
        except ValueError as error:
            why = str(error)
        print(f"checkpoint {why}: going back to the one before", file=sys.stderr)
    if found:
        raise BadInput(f"every checkpoint of '{folder.parent.name}' is damaged: start over with --fresh")
    return None


def remove_damaged(folder: Path) -> None:
    """Delete corrupt checkpoints where a valid one is left, so that two valid ones are kept."""
    for path in saved(folder):
        if damage(path) is not None:
            durable.remove_folder(path)
