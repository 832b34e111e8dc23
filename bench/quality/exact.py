"""The exact judge: which variant of an attribute a sample shows, by the drawing of it that is nearest to the sample.

It knows every drawing, so it makes no mistake on real images. Only for data that are drawn here from their labels.
"""

from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.data.dataset import AvatarSet
from bench.data.variants import cached_variants
from bench.quality import interval
from bench.quality.attributes import macro_interval, macro_of

EXACT_SAMPLES = 512  # conditions that are judged, at most: each takes about 80 drawings


def judged_of(asked: AvatarSet) -> AvatarSet:
    """The first conditions, whose samples are judged."""
    return asked.subset(torch.arange(min(len(asked), EXACT_SAMPLES)))


class ExactJudge:
    """Judges samples of the first conditions asked."""

    def __init__(self, asked: AvatarSet, folder: Path) -> None:
        self.asked = judged_of(asked)
        self.variants = cached_variants(self.asked, folder)
        self.prepare()

    def prepare(self) -> None:
        """What every judgement needs of the drawings."""
        self.parts = self.variants.by_attribute(self.asked.schema)
        self.looks = [each.numpy() for _, each in self.parts]
        own = [looks[np.arange(len(looks)), self.asked.codes[:, i].numpy()] for i, looks in enumerate(self.looks)]
        self.wanted = np.stack(own, axis=1)  # the look asked for, (N, A)
        self.scored = np.stack([looks.max(1) > 0 for looks in self.looks], axis=1)  # there are two looks or more
        self.chances = np.stack([chance_of(*pair) for pair in zip(self.looks, own, strict=True)], axis=1)

    def __len__(self) -> int:
        return len(self.asked)

    def read(self, images: Tensor) -> np.ndarray:
        """Codes (n, A) of the nearest drawings to uint8 samples (N, 3, H, W), n of which are judged; −1: not scored."""
        found = np.full((min(len(images), len(self)), len(self.parts)), -1)
        for n, i in zip(*self.scored[: len(found)].nonzero(), strict=True):
            rows = self.parts[i][0][n]
            codes = (rows >= 0).nonzero()[:, 0]
            apart = (self.variants.pictures[rows[codes]].int() - images[n].int()).square().flatten(1).sum(1)
            found[n, i] = codes[int(apart.numpy().argmin())]  # numpy's: the first of several
        return found

    def right(self, images: Tensor) -> np.ndarray:
        """Whether each attribute looks as asked, bool (n, A); False where it is not scored."""
        codes = self.read(images)
        seen = [looks[np.arange(len(codes)), codes[:, i]] for i, looks in enumerate(self.looks_of(len(codes)))]
        return (np.stack(seen, axis=1) == self.wanted[: len(codes)]) & self.scored[: len(codes)]

    def looks_of(self, count: int) -> list[np.ndarray]:
        return [looks[:count] for looks in self.looks]

    def measure(self, images: Tensor, classified: np.ndarray, seen: np.ndarray) -> dict[str, Any] | None:
        """The judgement of uint8 samples (N, 3, H, W), beside what the classifier said of them.

        Its answers are given as right or not (N, A), and where they can be scored (N, A). None where nothing can be.
        """
        right = self.right(images)
        scored = self.scored[: len(right)]
        if not scored.any():
            return None
        agreed, both = right == classified[: len(right)], scored & seen[: len(right)]
        chances = self.chances[: len(right)]
        return {
            "samples": len(right),
            "all_right": all_right(right, scored),
            "macro": macro_estimate(right, scored),
            "chance": macro_of(chances, scored),
            "shuffled": self.shuffled(len(right)),
            "per_attribute": {
                name: interval.share(int(right[scored[:, i], i].sum()), int(scored[:, i].sum()))
                | {"chance": float(chances[scored[:, i], i].mean()), "agreement": share_of(agreed[both[:, i], i])}
                for i, name in enumerate(self.asked.schema.names)
                if scored[:, i].any()
            },
            "agreement": share_of(agreed[both]),
            "look_alike": self.look_alike(len(right)),
        }

    def brief(self, images: Tensor) -> dict[str, Any]:
        """Of a few samples: the share that is all right, and the macro accuracy; None where nothing can be scored."""
        right = self.right(images)
        scored = self.scored[: len(right)]
        none = not scored.any()
        return {
            "all_right": None if none else all_right(right, scored),
            "exact": None if none else macro_estimate(right, scored),
        }

    def shuffled(self, count: int) -> float | None:
        """The macro accuracy of real images of other conditions: each in the place of the next."""
        if count < 2:
            return None
        others = self.right(self.asked.images[:count].roll(1, 0))
        return macro_of(others, self.scored[:count])

    def look_alike(self, count: int) -> dict[str, list[dict[str, Any]]]:
        """By attribute the pairs of variants that look the same, and in how many pictures, the commonest first."""
        found = {}
        for attribute, looks in zip(self.asked.schema.attributes, self.looks_of(count), strict=True):
            pairs = Counter(pair for row in looks for pair in same_pairs(row))
            if pairs:
                found[attribute.name] = [
                    {"variants": [attribute.variants[i] for i in pair], "pictures": pictures}
                    for pair, pictures in pairs.most_common()
                ]
        return found


def chance_of(looks: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """How likely (N,) a variant named at random, of those that can be shown, looks (N, cardinality) as asked."""
    return (looks == wanted[:, None]).sum(1) / np.maximum(1, (looks >= 0).sum(1))


def same_pairs(looks: np.ndarray) -> list[tuple[int, int]]:
    """The codes that look the same, of looks (cardinality,)."""
    return [(i, j) for i, j in combinations(range(len(looks)), 2) if looks[i] == looks[j] >= 0]


def all_right(right: np.ndarray, scored: np.ndarray) -> dict[str, Any]:
    """The share of samples of which every attribute that is scored is right, with Wilson's interval; both (N, A)."""
    some = scored.any(1)
    return interval.share(int((right | ~scored)[some].all(1).sum()), int(some.sum()))


def macro_estimate(right: np.ndarray, scored: np.ndarray) -> dict[str, Any]:
    return {"value": macro_of(right, scored), "interval": macro_interval(right, scored), "of": len(right)}


def share_of(agreed: np.ndarray) -> dict[str, Any] | None:
    """How many of some answers (n,) agree; None of none."""
    return interval.share(int(agreed.sum()), len(agreed)) if len(agreed) else None
