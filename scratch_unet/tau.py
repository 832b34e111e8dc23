"""Tau: from a binarised attribute vector to the tokens that cross attention reads."""

from einops import rearrange
from torch import Tensor, nn


class Tau(nn.Module):
    """`tokens` linear projections of the condition (B, D), each to `width`, as a context (B, tokens, width).

    A zero condition yields the biases alone: the learned unconditional context.
    """

    def __init__(self, condition_width: int, tokens: int, width: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.projections = nn.Linear(condition_width, tokens * width)

    def forward(self, condition: Tensor) -> Tensor:
        return rearrange(self.projections(condition), "b (n c) -> b n c", n=self.tokens)  # (B, N, C)
