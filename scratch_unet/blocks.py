"""The parts of the hand-written UNet: ResNet block, cross attention, resampling, time embedding."""

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F


class TimeEmbedding(nn.Module):
    """Timesteps (B,) to an embedding (B, width): sines and cosines, then a two-layer perceptron."""

    def __init__(self, frequencies: int, width: int) -> None:
        super().__init__()
        self.frequencies = frequencies
        self.first = nn.Linear(frequencies, width)
        self.second = nn.Linear(width, width)

    def forward(self, timestep: Tensor) -> Tensor:
        half = self.frequencies // 2
        rates = torch.exp(-math.log(10_000) * torch.arange(half, device=timestep.device) / half)
        angles = timestep[:, None] * rates[None]  # (B, F/2)
        waves = torch.cat([angles.sin(), angles.cos()], dim=-1)  # (B, F)
        return self.second(F.silu(self.first(waves.to(self.first.weight.dtype))))


class ResNetBlock(nn.Module):
    """Two 3×3 convolutions with the time embedding added between them, and a residual path."""

    def __init__(self, in_channels: int, out_channels: int, time_width: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time = nn.Linear(time_width, out_channels)
        self.norm2 = nn.GroupNorm(groups, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        same = in_channels == out_channels
        self.skip = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))  # (B, C, H, W)
        h = h + self.time(F.silu(time))[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        return self.skip(x) + h


class CrossAttention(nn.Module):
    """Multi-head attention from every pixel of (B, C, H, W) to the context tokens (B, N, context_width)."""

    def __init__(self, channels: int, context_width: int, heads: int, groups: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.query = nn.Linear(channels, channels, bias=False)
        self.key = nn.Linear(context_width, channels, bias=False)
        self.value = nn.Linear(context_width, channels, bias=False)
        self.out = nn.Linear(channels, channels)

    def split_heads(self, tokens: Tensor) -> Tensor:
        return rearrange(tokens, "b n (h d) -> b h n d", h=self.heads)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        height = x.shape[-2]
        pixels = rearrange(self.norm(x), "b c h w -> b (h w) c")  # (B, H·W, C)
        attended = F.scaled_dot_product_attention(
            self.split_heads(self.query(pixels)),
            self.split_heads(self.key(context)),
            self.split_heads(self.value(context)),
        )
        merged = self.out(rearrange(attended, "b h n d -> b n (h d)"))  # (B, H·W, C)
        return x + rearrange(merged, "b (h w) c -> b c h w", h=height)


class Downsample(nn.Conv2d):
    """Halve height and width with a strided 3×3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, stride=2, padding=1)


class Upsample(nn.Upsample):
    """Double height and width by repeating each pixel; the ResNet block behind it does the mixing."""

    def __init__(self) -> None:
        super().__init__(scale_factor=2, mode="nearest")
