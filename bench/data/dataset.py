"""The labelled set in memory: uint8 images, codes and schema, with its content hash."""

import functools
import hashlib
import json
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from bench.config import Recipe
from bench.data.schema import Schema

ALL = slice(None)


@dataclass(frozen=True)
class AvatarSet:
    """N avatars: images uint8 (N, 3, H, W), codes int64 (N, A), and what the codes mean."""

    images: Tensor
    codes: Tensor
    schema: Schema
    source: str  # "avataaars" or the name of the user's folder or archive
    skipped: int = 0  # bad images that the user allowed to be left out
    one_hot: bool = True  # how a model is told the attributes …
    centred: bool = True  # … and whether it sees pixels in [−1, 1], else in [0, 1]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_size(self) -> int:
        return self.images.shape[-1]

    @functools.cached_property
    def content_hash(self) -> str:
        """sha256 over pixels, codes and schema: what caches are keyed by and records name."""
        digest = hashlib.sha256(json.dumps(self.schema.to_json()).encode())
        for tensor in (self.images, self.codes):
            digest.update(str(tuple(tensor.shape)).encode())
            digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()

    @functools.cached_property
    def conditions(self) -> Tensor:
        """The attributes as a model is told them, float32 (N, width)."""
        return torch.from_numpy(self.schema.encode(self.codes.numpy(), self.one_hot))

    def in_model_space(self, rows: Tensor | slice = ALL) -> Tensor:
        """Images as a model sees them, float32 (N, 3, H, W)."""
        return to_model_space(self.images[rows], self.centred)

    def seen_by(self, recipe: Recipe) -> "AvatarSet":
        """The same images and attributes, as a recipe shows them to a model."""
        return replace(self, one_hot=recipe.one_hot, centred=recipe.centred)

    @functools.cached_property
    def shown(self) -> Tensor:
        """Which attribute can be seen in which image, bool (N, A)."""
        return torch.from_numpy(self.schema.shown(self.codes.numpy()))

    def subset(self, rows: Tensor) -> "AvatarSet":
        return replace(self, images=self.images[rows], codes=self.codes[rows])


def to_model_space(images: Tensor, centred: bool = True) -> Tensor:
    """uint8 pixels to float32 in [−1, 1], or in [0, 1]."""
    return images.float() / 127.5 - 1 if centred else images.float() / 255


def to_pixels(images: Tensor, centred: bool = True) -> Tensor:
    """Model space to uint8, clamped first: a bare cast would wrap 1.004 round to black."""
    return ((images.clamp(-1, 1) + 1) * 127.5 if centred else images.clamp(0, 1) * 255).round().to(torch.uint8)


def from_arrays(images: np.ndarray, codes: np.ndarray, schema: Schema, source: str, skipped: int = 0) -> AvatarSet:
    """Images (N, H, W, 3) and codes (N, A), as the readers make them, to a set."""
    planes = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    return AvatarSet(planes, torch.from_numpy(codes), schema, source, skipped)
