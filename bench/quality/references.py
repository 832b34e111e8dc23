"""What known images score on the very metrics of the samples: a perfect model's answers, and those of a look-up."""

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
    key = [FORMAT, asked.content_hash, train.content_hash, *rests_on]
    return cache.made_once(folder, "references", key, lambda: measure_references(asked, train, measure))
