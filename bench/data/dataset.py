"""The labelled set in memory: uint8 images, codes and schema, with its split and its content hash."""

import functools
import hashlib
import json
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from bench import randomness
from bench.data.schema import Schema

HELD_OUT_SHARE = 0.1


@dataclass(frozen=True)
class AvatarSet:
    """N avatars: images uint8 (N, 3, H, W), codes int64 (N, A), and what the codes mean."""

    images: Tensor
    codes: Tensor
    schema: Schema
    source: str  # "avataaars" or the name of the user's folder or archive
    skipped: int = 0  # bad images that the user allowed to be left out

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
        """Binarised attributes, float32 (N, width)."""
        return torch.from_numpy(self.schema.binarise(self.codes.numpy()))

    @functools.cached_property
    def shown(self) -> Tensor:
        """Which attribute can be seen in which image, bool (N, A)."""
        return torch.from_numpy(self.schema.shown(self.codes.numpy()))

    def subset(self, rows: Tensor) -> "AvatarSet":
        return replace(self, images=self.images[rows], codes=self.codes[rows])


@dataclass(frozen=True)
class Split:
    """Images to learn from and images that no contestant and no classifier ever trains on."""

    train: AvatarSet
    held_out: AvatarSet

    @functools.cached_property
    def leaked(self) -> int:
        """How many held-out images also stand, pixel for pixel, among the training images."""
        seen = {pixels.tobytes() for pixels in self.train.images.numpy()}
        return sum(pixels.tobytes() in seen for pixels in self.held_out.images.numpy())


def split(avatars: AvatarSet) -> Split:
    """A tenth held out, the same for every run over the same set."""
    order = randomness.epoch_order(0, 0, len(avatars))
    held_out = max(1, round(len(avatars) * HELD_OUT_SHARE))
    return Split(train=avatars.subset(order[held_out:]), held_out=avatars.subset(order[:held_out]))


def to_model_space(images: Tensor) -> Tensor:
    """uint8 pixels to float32 in [−1, 1]."""
    return images.float() / 127.5 - 1


def to_pixels(images: Tensor) -> Tensor:
    """Model space to uint8, clamped first: a bare cast would wrap 1.004 round to black."""
    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def from_arrays(images: np.ndarray, codes: np.ndarray, schema: Schema, source: str, skipped: int = 0) -> AvatarSet:
    """Images (N, H, W, 3) and codes (N, A), as the readers make them, to a set."""
    planes = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    return AvatarSet(planes, torch.from_numpy(codes), schema, source, skipped)


def asked_of(parts: Split, count: int) -> AvatarSet:
    """The held-out avatars whose conditions are asked, again from the first where there are too few."""
    return parts.held_out.subset(torch.arange(count) % len(parts.held_out))
