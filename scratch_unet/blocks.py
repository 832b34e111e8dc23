"""The parts of the hand-written UNets: ResNet block, attention, transformer block, resampling, time embedding."""

import math
from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


def through(module: Callable[[Tensor], Tensor], x: Tensor, recomputes: bool) -> Tensor:
    """The module's output; what is inside may be computed again in the backward pass instead of being kept."""
    if recomputes and torch.is_grad_enabled():
        return checkpoint(module, x, use_reentrant=False, preserve_rng_state=False)
    return module(x)


class TimeEmbedding(nn.Module):
    """Timesteps (B,) to an embedding (B, width): sines and cosines, then a two-layer perceptron."""

    def __init__(self, frequencies: int, width: int, cosines_first: bool = False) -> None:
        super().__init__()
        self.frequencies, self.cosines_first = frequencies, cosines_first
        self.first = nn.Linear(frequencies, width)
        self.second = nn.Linear(width, width)

    def forward(self, timestep: Tensor) -> Tensor:
        half = self.frequencies // 2
        rates = torch.exp(-math.log(10_000) * torch.arange(half, device=timestep.device) / half)
        angles = timestep[:, None] * rates[None]  # (B, F/2)
        waves = [angles.cos(), angles.sin()] if self.cosines_first else [angles.sin(), angles.cos()]
        return self.second(F.silu(self.first(torch.cat(waves, dim=-1).to(self.first.weight.dtype))))


class ResNetBlock(nn.Module):
    """Two 3×3 convolutions with the time embedding added between them, and a residual path."""

    def __init__(self, in_channels: int, out_channels: int, time_width: int, groups: int) -> None:
        super().__init__()
        self.recomputes = False  # see `ScratchDenoiser.recompute`
        self.norm1 = nn.GroupNorm(groups, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time = nn.Linear(time_width, out_channels)
        self.norm2 = nn.GroupNorm(groups, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        same = in_channels == out_channels
        self.skip = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = through(self.first, x, self.recomputes)  # (B, C, H, W)
        h = h + self.time(F.silu(time))[:, :, None, None]
        h = through(self.second, h, self.recomputes)
        return self.skip(x) + h

    def first(self, x: Tensor) -> Tensor:
        return self.conv1(F.silu(self.norm1(x)))

    def second(self, h: Tensor) -> Tensor:
        return self.conv2(F.silu(self.norm2(h)))


class Attention(nn.Module):
    """Multi-head attention from tokens (B, M, C) to context tokens (B, N, context_width)."""

    def __init__(self, channels: int, context_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels, bias=False)
        self.key = nn.Linear(context_width, channels, bias=False)
        self.value = nn.Linear(context_width, channels, bias=False)
        self.out = nn.Linear(channels, channels)

    def split_heads(self, tokens: Tensor) -> Tensor:
        return rearrange(tokens, "b n (h d) -> b h n d", h=self.heads)

    def attend(self, tokens: Tensor, context: Tensor) -> Tensor:
        attended = F.scaled_dot_product_attention(
            self.split_heads(self.query(tokens)),
            self.split_heads(self.key(context)),
            self.split_heads(self.value(context)),
        )
        return self.out(rearrange(attended, "b h n d -> b n (h d)"))  # (B, M, C)


class CrossAttention(Attention):
    """Attention from every pixel of (B, C, H, W) to the context tokens, with a residual path around it."""

    def __init__(self, channels: int, context_width: int, heads: int, groups: int) -> None:
        super().__init__(channels, context_width, heads)
        self.norm = nn.GroupNorm(groups, channels)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        pixels = rearrange(self.norm(x), "b c h w -> b (h w) c")  # (B, H·W, C)
        return x + rearrange(self.attend(pixels, context), "b (h w) c -> b c h w", h=x.shape[-2])


class FeedForward(nn.Module):
    """Tokens (B, M, C) through four times as many channels, one half of them gated by the other (GEGLU)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.wide = nn.Linear(channels, 8 * channels)
        self.narrow = nn.Linear(4 * channels, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        value, gate = self.wide(tokens).chunk(2, dim=-1)
        return self.narrow(value * F.gelu(gate))


class Transformer(nn.Module):
    """A transformer block over the pixels of (B, C, H, W), between two 1×1 convolutions.

    Its first attention is to the pixels themselves, or to the context as the second one is.
    """

    def __init__(self, channels: int, context_width: int, heads: int, groups: int, attends_to_itself: bool) -> None:
        super().__init__()
        self.recomputes = False
        self.attends_to_itself = attends_to_itself
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.into = nn.Conv2d(channels, channels, 1)
        self.norm1 = nn.LayerNorm(channels)
        self.attention1 = Attention(channels, channels if attends_to_itself else context_width, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.attention2 = Attention(channels, context_width, heads)
        self.norm3 = nn.LayerNorm(channels)
        self.feed_forward = FeedForward(channels)
        self.back = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        tokens = rearrange(self.into(self.norm(x)), "b c h w -> b (h w) c")  # (B, H·W, C)
        normed = self.norm1(tokens)
        tokens = tokens + self.attention1.attend(normed, normed if self.attends_to_itself else context)
        tokens = tokens + self.attention2.attend(self.norm2(tokens), context)
        tokens = tokens + through(self.third, tokens, self.recomputes)
        return x + self.back(rearrange(tokens, "b (h w) c -> b c h w", h=x.shape[-2]))

    def third(self, tokens: Tensor) -> Tensor:
        return self.feed_forward(self.norm3(tokens))


class Block(nn.Module):
    """A ResNet block, then attention, where it has any."""

    _gradient_checkpointing_func: Callable[..., Tensor]  # set by ModelMixin's `enable_gradient_checkpointing`

    def __init__(self, resnet: ResNetBlock, attention: CrossAttention | Transformer | None, takes_skip: bool) -> None:
        super().__init__()
        self.gradient_checkpointing = False
        self.takes_skip = takes_skip
        self.resnet = resnet
        self.attention = attention

    def forward(self, x: Tensor, time: Tensor, context: Tensor) -> Tensor:
        x = self.run(self.resnet, x, time)
        return x if self.attention is None else self.run(self.attention, x, context)

    def run(self, module: nn.Module, *inputs: Tensor) -> Tensor:
        """The module's output; with gradient checkpointing, what is inside is computed again in the backward pass."""
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return self._gradient_checkpointing_func(module, *inputs)
        return module(*inputs)


class Downsample(nn.Conv2d):
    """Halve height and width with a strided 3×3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, stride=2, padding=1)


class Upsample(nn.Module):
    """Double height and width by repeating each pixel; then mix them by a 3×3 convolution, or leave it to the next."""

    def __init__(self, channels: int, convolution: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1) if convolution else None

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        return x if self.convolution is None else self.convolution(x)
