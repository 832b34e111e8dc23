"""What can be asked of an avatar: its attributes, their variants, and the binarised condition."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.errors import BadInput, known


@dataclass(frozen=True)
class Attribute:
    """One categorical attribute; `hidden` names the variant that says "cannot be seen in this picture"."""

    name: str
    variants: tuple[str, ...]
    hidden: str | None = None

    def code(self, variant: str) -> int:
        """The index of a variant; BadInput with the nearest names if there is none such."""
        return self.variants.index(known(variant, self.variants, f"variant of {self.name}"))

    @property
    def hidden_code(self) -> int | None:
        return None if self.hidden is None else self.variants.index(self.hidden)


@dataclass(frozen=True)
class Schema:
    """The attributes of a data set, in the order of the columns of its codes (N, A)."""

    attributes: tuple[Attribute, ...]

    @property
    def width(self) -> int:
        """Width of the binarised condition: the sum of the cardinalities (217 for Cartoon Set)."""
        return sum(self.cardinalities)

    @property
    def cardinalities(self) -> list[int]:
        return [len(attribute.variants) for attribute in self.attributes]

    @property
    def names(self) -> list[str]:
        return [attribute.name for attribute in self.attributes]

    def binarise(self, codes: np.ndarray) -> np.ndarray:
        """Codes (N, A) to one-hot groups side by side, float32 (N, width)."""
        offsets = np.cumsum([0, *self.cardinalities[:-1]])
        condition = np.zeros((len(codes), self.width), dtype=np.float32)
        np.put_along_axis(condition, codes + offsets, 1.0, axis=1)
        return condition

    def encode(self, codes: np.ndarray, one_hot: bool) -> np.ndarray:
        """Codes (N, A) as a condition (N, width): binarised, or the plain codes, counted from 1, and then zeros.

        Both are as wide, so that models for them have the same parameters; neither has a row of zeros.
        """
        if one_hot:
            return self.binarise(codes)
        condition = np.zeros((len(codes), self.width), dtype=np.float32)
        condition[:, : len(self.attributes)] = codes + 1
        return condition

    def shown(self, codes: np.ndarray) -> np.ndarray:
        """Which attribute can be seen in which picture: bool (N, A)."""
        hidden = [-1 if a.hidden_code is None else a.hidden_code for a in self.attributes]
        return codes != np.array(hidden)

    def parse(self, text: str) -> dict[str, int]:
        """`top=bob,eyes=wink` to codes by name; BadInput with the nearest names for what is unknown, or asked twice."""
        wanted: dict[str, int] = {}
        for part in filter(None, map(str.strip, text.split(","))):
            name, equals, variant = part.partition("=")
            if not equals:
                raise BadInput(f"'{part}' is no attribute: write name=value, for example {self.example()}")
            attribute = self.attributes[self.names.index(known(name.strip(), self.names, "attribute"))]
            if attribute.name in wanted:
                raise BadInput(f"{attribute.name} is asked for twice: name one value of it")
            if not variant.strip():
                raise BadInput(f"'{part}' names no value: write for example {attribute.name}={attribute.variants[0]}")
            wanted[attribute.name] = attribute.code(variant.strip())
        return wanted

    def write(self, codes: Sequence[int]) -> str:
        """The text from which `parse` reads these codes (A,) again."""
        return ",".join(f"{a.name}={a.variants[code]}" for a, code in zip(self.attributes, codes, strict=True))

    def example(self) -> str:
        first = self.attributes[0]
        return f"{first.name}={first.variants[0]}"

    def to_json(self) -> list[dict[str, Any]]:
        return [{"name": a.name, "variants": list(a.variants), "hidden": a.hidden} for a in self.attributes]

    @classmethod
    def from_json(cls, rows: list[dict[str, Any]]) -> "Schema":
        """The schema that `to_json` gave; ValueError, KeyError or TypeError for anything else."""
        return cls(tuple(attribute_from_json(row) for row in rows))


def attribute_from_json(row: dict[str, Any]) -> Attribute:
    name, variants, hidden = row["name"], tuple(row["variants"]), row["hidden"]
    if not all(isinstance(text, str) for text in (name, *variants)):
        raise TypeError(f"attribute {name!r}: its name or a variant of it is no text")
    if not variants or len(set(variants)) < len(variants) or hidden not in (None, *variants):
        raise ValueError(f"attribute {name!r}: its variants are none or not distinct, or it hides none of them")
    return Attribute(name, variants, hidden)
