"""Tensors and JSON on disk with a checksum of their own (safetensors has none): found whole, or not found at all."""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from bench.storage import durable

CHECKSUM = "sha256"
Cached = tuple[dict[str, Tensor], dict[str, str]]  # tensors and metadata


def write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Store tensors and a few words about them."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    words = metadata or {}
    durable.write_bytes(path, save(whole, words | {CHECKSUM: checksum(whole, words)}))


def read(path: Path) -> Cached | None:
    """What was stored; None if nothing was, or, with a word on stderr, if it is not what was written."""
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    except (SafetensorError, OSError, ValueError) as error:
        warn(path, str(error))
        return None
    if metadata.pop(CHECKSUM, None) != checksum(tensors, metadata):
        warn(path, "its content is not what was written")
        return None
    return tensors, metadata


def made_once(folder: Path, kind: str, rests_on: list[Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A JSON document, made for everything that it rests on and found again after that."""
    path = folder / f"{kind}-{hashlib.sha256(json.dumps(rests_on).encode()).hexdigest()[:24]}.safetensors"
    found = read(path)
    if found is not None and found[1].get("name") == path.name:
        return json.loads(found[1]["found"])
    made = json.dumps(make())
    write(path, {"no": torch.zeros(1)}, {"name": path.name, "found": made})  # a file of safetensors has some tensor
    return json.loads(made)


def checksum(tensors: dict[str, Tensor], metadata: dict[str, str]) -> str:
    digest = hashlib.sha256(repr(sorted(metadata.items())).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)  # bytes: numpy has no bfloat16
    return digest.hexdigest()


def warn(path: Path, why: str) -> None:
    print(f"cache {path.name} is damaged ({why}): making it again", file=sys.stderr)
