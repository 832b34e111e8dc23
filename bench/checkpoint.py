"""Checkpoints that are whole or absent: tensors in safetensors, the rest in JSON, hashes of both in a manifest.

Nothing random is stored, because nothing random here has a history.
"""

import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from bench import durable
from bench.errors import BadInput

TENSORS, STATE, MANIFEST = "tensors.safetensors", "state.json", "manifest.json"
KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """What training resumes from."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]


def save_checkpoint(folder: Path, step: int, checkpoint: Checkpoint) -> None:
    """Write `folder/step-N` durably, verify it, and only then drop all but the newest two."""
    final = folder / f"step-{step:09d}"
    temporary = folder / f".step-{step:09d}.{os.getpid()}.tmp"
    for left_over in folder.glob(".step-*.tmp"):  # by a run that was killed
        durable.remove_folder(left_over)
    contents = {
        TENSORS: save({name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}),
        STATE: json.dumps(checkpoint.state).encode(),
    }
    for name, content in contents.items():
        durable.write_bytes(temporary / name, content)
    manifest = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    durable.write_text(temporary / MANIFEST, json.dumps(manifest))
    durable.remove_folder(final)
    durable.publish_folder(temporary, final)
    read_verified(final)
    for old in saved(folder)[:-KEPT]:
        durable.remove_folder(old)


def saved(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first."""
    return sorted(folder.glob("step-*"))


def read_verified(path: Path) -> Checkpoint:
    """A checkpoint whose files hash to what its manifest says; ValueError names the file that does not."""
    try:
        manifest = json.loads((path / MANIFEST).read_text())
        contents = {name: (path / name).read_bytes() for name in (TENSORS, STATE)}
    except (OSError, ValueError) as error:
        raise ValueError(f"{path.name}: incomplete ({error})") from error
    for name, content in contents.items():
        if not isinstance(manifest, dict) or manifest.get(name) != hashlib.sha256(content).hexdigest():
            raise ValueError(f"{path.name}/{name}: content does not match its manifest")
    return Checkpoint(load(contents[TENSORS]), json.loads(contents[STATE]))


def load_newest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that verifies; None if none was ever saved, BadInput if every one is damaged."""
    found = saved(folder)
    for path in reversed(found):
        try:
            return read_verified(path)
        except ValueError as error:
            print(f"checkpoint {error}: falling back", file=sys.stderr)
    if found:
        raise BadInput(f"every checkpoint under {folder} is damaged: start over with --fresh")
    return None
