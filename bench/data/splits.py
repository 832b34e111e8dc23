"""Three disjoint parts of a data set, fixed by what its images show: to train on, to choose by, and to score by."""

import functools
import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import torch

from bench.data.dataset import AvatarSet

TEST_SHARE, MOST_TESTED = 0.3, 4096  # as many again as are asked at the published size stand for the real side
VALIDATION_SHARE, MOST_VALIDATED = 0.05, 512


@dataclass(frozen=True)
class Split:
    """What is learned from, what chooses (learning rates, curves of the loss), and what samples are scored by."""

    train: AvatarSet
    validation: AvatarSet
    test: AvatarSet

    @functools.cached_property
    def leaked(self) -> int:
        """How many images of validation and test also stand, pixel for pixel, in a part before theirs."""
        train, validation, test = (pixels(part) for part in (self.train, self.validation, self.test))
        return sum(each in train for each in validation + test) + sum(each in validation for each in test)


class Counts(NamedTuple):
    """How many images each part of a split has."""

    train: int
    validation: int
    test: int


def counts(images: int) -> Counts:
    """The parts of so many images; all but a few of a large set are trained on."""
    test = max(1, min(MOST_TESTED, round(TEST_SHARE * images)))
    validation = max(1, min(MOST_VALIDATED, round(VALIDATION_SHARE * images)))
    return Counts(images - validation - test, validation, test)


def split(avatars: AvatarSet) -> Split:
    """The set in three parts, whatever the order of its images: they are sorted by a digest of their pixels.

    Images that look the same stay together, so that no part knows another's.
    """
    digests = [hashlib.sha256(each).digest() for each in pixels(avatars)]
    order = sorted(range(len(avatars)), key=lambda row: (digests[row], avatars.codes[row].tolist()))
    sizes = counts(len(avatars))
    first = whole(sizes.test, [digests[row] for row in order])
    second = whole(first + sizes.validation, [digests[row] for row in order])
    rows = torch.tensor(order)
    return Split(avatars.subset(rows[second:]), avatars.subset(rows[first:second]), avatars.subset(rows[:first]))


def whole(end: int, digests: list[bytes]) -> int:
    """Where a part ends at the earliest without parting images that look the same."""
    while end < len(digests) and digests[end] == digests[end - 1]:
        end += 1
    return end


def pixels(avatars: AvatarSet) -> list[bytes]:
    return [image.tobytes() for image in avatars.images.numpy()]


def asked_of(parts: Split, count: int) -> AvatarSet:
    """The test avatars whose conditions are asked, again from the first where there are too few."""
    return parts.test.subset(torch.arange(count) % len(parts.test))
