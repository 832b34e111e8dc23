"""Every avatar drawn again with each variant of each of its attributes, all others as they are: to tell them apart."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from bench.data import avataaars
from bench.data.dataset import AvatarSet
from bench.data.library import AVATAAARS, draw
from bench.data.schema import Schema
from bench.storage import cache

FORMAT = 1  # of the cache file
LOOK_ALIKE = 4.0  # of 255: two drawings in which no value of any pixel differs by more look the same
Label = dict[str, str]


@dataclass(frozen=True)
class Variants:
    """The drawings of N avatars; columns are grouped as those of the condition are, by attribute.

    An attribute that is hidden in an avatar is not drawn for it, nor is the variant that says so.
    """

    pictures: Tensor  # uint8 (P, 3, H, W), none twice
    rows: Tensor  # int64 (N, width): the picture of that avatar with that variant; −1: none
    looks: Tensor  # int64 (N, width): alike within an attribute where the drawings look the same; −1: none

    def by_attribute(self, schema: Schema) -> list[tuple[Tensor, Tensor]]:
        """Rows and looks of each attribute, both (N, cardinality)."""
        parts = (each.split(schema.cardinalities, dim=1) for each in (self.rows, self.looks))
        return list(zip(*parts, strict=True))


def can_be_drawn(avatars: AvatarSet) -> bool:
    """Whether its labels say everything about its pictures."""
    return avatars.source == AVATAAARS and avatars.schema == avataaars.schema()


def label_of(codes: list[int], schema: Schema) -> Label:
    return {a.name: a.variants[code] for a, code in zip(schema.attributes, codes, strict=True)}


def changed_labels(label: Label, schema: Schema) -> list[Label | None]:
    """The label with one attribute changed, for every variant of every attribute; None where nothing is drawn."""
    return [
        None if attribute.hidden in (variant, label[attribute.name]) else label | {attribute.name: variant}
        for attribute in schema.attributes
        for variant in attribute.variants
    ]


def draw_variants(avatars: AvatarSet, advance: Callable[[int], None] = lambda n: None) -> Variants:
    """All drawings of all avatars, each drawn once; over all cores."""
    wanted: dict[tuple[str, ...], int] = {}
    labels: list[Label] = []
    rows: list[int] = []
    for codes in avatars.codes.tolist():
        for label in changed_labels(label_of(codes, avatars.schema), avatars.schema):
            if label is not None and tuple(label.values()) not in wanted:
                wanted[tuple(label.values())] = len(labels)
                labels.append(label)
            rows.append(-1 if label is None else wanted[tuple(label.values())])
    pictures = torch.from_numpy(draw(labels, avatars.image_size, advance)).permute(0, 3, 1, 2).contiguous()
    table = torch.tensor(rows, dtype=torch.int64).reshape(len(avatars), avatars.schema.width)
    return Variants(pictures, table, looks_of(pictures, table, avatars.schema))


def looks_of(pictures: Tensor, rows: Tensor, schema: Schema) -> Tensor:
    """Which variants look the same: numbers (N, width) that are equal within an attribute of an avatar, or −1."""
    looks = torch.full_like(rows, -1)
    parts = (each.split(schema.cardinalities, dim=1) for each in (rows, looks))
    for row, look in ((row, look) for pair in zip(*parts, strict=True) for row, look in zip(*pair, strict=True)):
        drawn = row >= 0
        if drawn.any():
            flat = pictures[row[drawn]].flatten(1).float()
            same = torch.cdist(flat, flat, p=float("inf")) <= LOOK_ALIKE
            look[drawn] = torch.from_numpy(connected_components(same.numpy())[1]).long()  # a view of `looks`
    return looks


def variants_path(avatars: AvatarSet, folder: Path) -> Path:
    """Where the drawings of these avatars lie: a name made of everything that they depend on."""
    key = json.dumps([FORMAT, LOOK_ALIKE, avataaars.fingerprint(), avatars.content_hash])
    return folder / f"variants-{hashlib.sha256(key.encode()).hexdigest()[:24]}.safetensors"


def cached_variants(avatars: AvatarSet, folder: Path, advance: Callable[[int], None] = lambda n: None) -> Variants:
    """The drawings of these avatars, drawn the first time and found again after that."""
    path = variants_path(avatars, folder)
    found = cache.read(path)
    if found is not None and found[1].get("name") == path.name:
        return Variants(**found[0])
    made = draw_variants(avatars, advance)
    cache.write(path, vars(made), {"name": path.name})
    return made
