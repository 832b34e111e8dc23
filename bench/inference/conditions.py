"""What is asked of an avatar, completed to a whole one."""

import torch
from torch import Tensor

from bench import randomness
from bench.data.schema import Schema


def chosen_codes(schema: Schema, real: Tensor, attributes: str, count: int, seed: int) -> Tensor:
    """Codes (count, A): real held-out avatars that show as much as possible of what is asked, with the rest of it set.

    Attributes depend on each other (a hat hides the hair), so the ones not asked for are never drawn one by one.
    """
    columns, asked = columns_and_codes(schema, attributes)
    agreeing = (real[:, columns] == asked).sum(1)
    order = torch.randperm(len(real), generator=randomness.generator(seed, "conditions"))
    best = order[agreeing[order].argsort(descending=True, stable=True)]
    codes = real[best[torch.arange(count) % len(best)]].clone()
    codes[:, columns] = asked
    return codes


def is_shown_by_any(schema: Schema, real: Tensor, attributes: str) -> bool:
    """Whether one of the real avatars (N, A) is all that is asked; if none, what is asked may exclude itself."""
    columns, asked = columns_and_codes(schema, attributes)
    return bool((real[:, columns] == asked).all(1).any())


def columns_and_codes(schema: Schema, attributes: str) -> tuple[list[int], Tensor]:
    wanted = schema.parse(attributes)
    return [schema.names.index(name) for name in wanted], torch.tensor(list(wanted.values()), dtype=torch.int64)
