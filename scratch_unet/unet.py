"""The four-level UNet and its conditioner Tau as one denoiser.

At scale 1 and 64×64 the down path is the published one:
(3, 64, 64) -> (128, 64, 64) -> (256, 32, 32) -> (512, 16, 16) -> (1024, 8, 8),
with four-head cross attention at 16×16 and 8×8 on the way down, and at 8×8 (the middle) and 16×16 on the way up.
The source publishes its total (76,464,439) and this path, not its blocks; the rest is ours.
"""

from collections.abc import Callable

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional as F

from scratch_unet.blocks import CrossAttention, Downsample, ResNetBlock, TimeEmbedding, Upsample
from scratch_unet.tau import Tau, check_size

CHANNELS = (128, 256, 512, 1024)
ATTENTION_LEVELS = (2, 3)
HEADS = 4
GROUPS = 32
CONTEXT_TOKENS = 128
CONTEXT_WIDTH = 256
TIME_FREQUENCIES = 128
TIME_WIDTH = 256


class Stage(nn.Module):
    """ResNet blocks at one resolution, then cross attention where `context_width` is given."""

    _gradient_checkpointing_func: Callable[..., Tensor]  # set by ModelMixin's `enable_gradient_checkpointing`

    def __init__(
        self,
        blocks: list[ResNetBlock],
        context_width: int | None,  # None: no attention at this level
        channels: int,
        heads: int,
        groups: int,
    ) -> None:
        super().__init__()
        self.gradient_checkpointing = False
        self.blocks = nn.ModuleList(blocks)
        self.attention = CrossAttention(channels, context_width, heads, groups) if context_width else None

    def forward(self, x: Tensor, time: Tensor, context: Tensor) -> Tensor:
        for block in self.blocks:
            x = self.run(block, x, time)
        return x if self.attention is None else self.run(self.attention, x, context)

    def run(self, module: nn.Module, *inputs: Tensor) -> Tensor:
        """The module's output; with gradient checkpointing, what is inside is computed again in the backward pass."""
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return self._gradient_checkpointing_func(module, *inputs)
        return module(*inputs)


class UNet(nn.Module):
    """(B, 3, H, W), timesteps (B,) and a context (B, N, C) to a prediction (B, 3, H, W)."""

    def __init__(
        self,
        channels: tuple[int, ...],  # one entry a level, from the finest
        heads: int,
        groups: int,
        context_width: int,
        time_frequencies: int,
        time_width: int,
    ) -> None:
        super().__init__()
        last = len(channels) - 1
        self.stem = nn.Conv2d(3, channels[0], 3, padding=1)
        self.time = TimeEmbedding(time_frequencies, time_width)

        def stage(level: int, *ins: int) -> Stage:
            blocks = [ResNetBlock(width, channels[level], time_width, groups) for width in ins]
            return Stage(blocks, self.context_at(level, context_width), channels[level], heads, groups)

        # Encoder: one ResNet block a level; every level but the last is halved.
        self.down = nn.ModuleDict()
        self.downsample = nn.ModuleDict()
        for level in range(last + 1):
            self.down[f"level{level}"] = stage(level, channels[max(level - 1, 0)])
            if level < last:
                self.downsample[f"level{level}"] = Downsample(channels[level])

        # Middle: one more block and one more attention at the coarsest level.
        self.middle = stage(last, channels[last])

        # Decoder: double, concatenate the skip connection, two ResNet blocks a level.
        self.upsample = Upsample()
        self.up = nn.ModuleDict()
        for level in reversed(range(last)):
            self.up[f"level{level}"] = stage(level, channels[level + 1] + channels[level], channels[level])

        self.norm = nn.GroupNorm(groups, channels[0])
        self.out = nn.Conv2d(channels[0], 3, 3, padding=1)

    @staticmethod
    def context_at(level: int, context_width: int) -> int | None:
        return context_width if level in ATTENTION_LEVELS else None

    def forward(self, x: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        time = self.time(timestep)
        x = self.stem(x)

        # Encoder.
        skips = []
        for level, stage in self.down.items():
            x = stage(x, time, context)
            if level in self.downsample:
                skips.append(x)
                x = self.downsample[level](x)

        # Middle.
        x = self.middle(x, time, context)

        # Decoder.
        for stage in self.up.values():
            x = torch.cat([self.upsample(x), skips.pop()], dim=1)
            x = stage(x, time, context)

        return self.out(F.silu(self.norm(x)))


class ScratchDenoiser(ModelMixin, ConfigMixin):
    """Tau + UNet behind the contract: noisy (B, 3, H, W), timestep (B,), condition (B, D) -> (B, 3, H, W)."""

    _supports_gradient_checkpointing = True

    @register_to_config
    def __init__(self, condition_width: int, image_size: int = 64, scale: float = 1.0) -> None:
        super().__init__()
        check_size(image_size, scale, halvings=len(CHANNELS) - 1, groups=GROUPS)
        context_width = round(CONTEXT_WIDTH * scale)
        self.tau = Tau(condition_width, max(2, round(CONTEXT_TOKENS * scale)), context_width)
        self.unet = UNet(
            channels=tuple(round(width * scale) for width in CHANNELS),
            heads=HEADS,  # at every scale: with one head the blog post's model never learned colours
            groups=round(GROUPS * scale),
            context_width=context_width,
            time_frequencies=round(TIME_FREQUENCIES * scale),
            time_width=round(TIME_WIDTH * scale),
        )

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        return self.unet(noisy, timestep, self.tau(condition))


def build(condition_width: int, image_size: int, scale: float) -> ScratchDenoiser:
    """The from-scratch contestant; scale 1 is the published size, a smaller one has fewer channels."""
    return ScratchDenoiser(condition_width, image_size, scale)
