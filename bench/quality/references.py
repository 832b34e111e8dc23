"""What known images score on the very metrics of the samples: a perfect model's answers, and those of a look-up."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.data.dataset import AvatarSet
from bench.storage import cache

FORMAT = 1  # of the cache file; raise when a metric changes
Measure = Callable[[Tensor], dict[str, Any]]
CHUNK = 64  # conditions


def retrieved(asked: AvatarSet, train: AvatarSet) -> Tensor:
    """For every condition the training image (N,) with the fewest other attributes; the first one of several."""
    rows = [(part[:, None] != train.codes[None]).sum(2) for part in asked.codes.split(CHUNK)]
    return torch.cat([torch.from_numpy(each.numpy().argmin(1)) for each in rows])  # numpy's: the first


def measure_references(asked: AvatarSet, train: AvatarSet, measure: Measure) -> dict[str, Any]:
    """The true pictures themselves, and the training images with the nearest attributes."""
    return {"real": measure(asked.images), "retrieval": measure(train.images[retrieved(asked, train)])}


def cached_references(
    asked: AvatarSet, train: AvatarSet, measure: Measure, folder: Path, rests_on: list[str]
) -> dict[str, Any]:
    """The same, measured once for every data set and everything else that the metrics rest on."""
    key = json.dumps([FORMAT, asked.content_hash, train.content_hash, *rests_on])
    path = folder / f"references-{hashlib.sha256(key.encode()).hexdigest()[:24]}.safetensors"
    found = cache.read(path)
    if found is not None and found[1].get("name") == path.name:
        return json.loads(found[1]["found"])
    made = measure_references(asked, train, measure)
    cache.write(path, {"asked": torch.tensor(len(asked))}, {"name": path.name, "found": json.dumps(made)})
    return made
