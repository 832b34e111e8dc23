"""Tau: from a binarised attribute vector to the tokens that cross attention reads; what every UNet beside it needs."""

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F


class Tau(nn.Module):
    """`tokens` linear projections of the condition (B, D), each to `width`, as a context (B, tokens, width).

    A zero condition yields the biases alone: the learned unconditional context. Tokens begin small, with a standard
    deviation of about a quarter; normalised, each has mean 0 and variance 1.
    """

    def __init__(self, condition_width: int, tokens: int, width: int, normalises: bool = False) -> None:
        super().__init__()
        self.tokens, self.normalises = tokens, normalises
        self.projections = nn.Linear(condition_width, tokens * width)

    def forward(self, condition: Tensor) -> Tensor:
        context = rearrange(self.projections(condition), "b (n c) -> b n c", n=self.tokens)  # (B, N, C)
        return F.layer_norm(context, context.shape[-1:]) if self.normalises else context


def check_size(image_size: int, scale: float, halvings: int, groups: int) -> None:
    """Raise ValueError unless the levels divide the image and the scale leaves whole groups of channels."""
    if image_size <= 0 or image_size % 2**halvings:
        raise ValueError(f"image size {image_size} is not a multiple of {2**halvings}, as {halvings + 1} levels need")
    if scale <= 0 or (groups * scale) % 1:
        raise ValueError(f"scale {scale} leaves no whole number of channel groups; take a multiple of 1/{groups}")
