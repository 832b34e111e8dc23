"""One hand-written UNet for every architecture, and with its conditioner Tau a denoiser.

At scale 1 and 64×64 the down path of `scratch` is the published one:
(3, 64, 64) -> (128, 64, 64) -> (256, 32, 32) -> (512, 16, 16) -> (1024, 8, 8),
with four-head cross attention at 16×16 and 8×8 on the way down, and at 8×8 (the middle) and 16×16 on the way up.
"""

from dataclasses import replace
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional as F

from scratch_unet.architecture import Architecture, architecture_of
from scratch_unet.blocks import Block, CrossAttention, Downsample, ResNetBlock, TimeEmbedding, Transformer, Upsample
from scratch_unet.tau import Tau, check_size


class UNet(nn.Module):
    """(B, 3, H, W), timesteps (B,) and a context (B, N, C) to a prediction (B, 3, H, W)."""

    def __init__(self, made_of: Architecture) -> None:
        super().__init__()
        self.made_of = made_of
        channels, last = made_of.channels, len(made_of.channels) - 1
        self.skips_blocks = made_of.skips == "block"
        self.stem = nn.Conv2d(3, channels[0], 3, padding=1)
        self.time = TimeEmbedding(made_of.time_frequencies, made_of.time_width, made_of.cosines_first)
        self.told = nn.Linear(made_of.context_width, made_of.time_width) if made_of.adds_context_to_time else None

        # Encoder: ResNet blocks; every level but the last is halved.
        self.down = nn.ModuleDict()
        self.downsample = nn.ModuleDict()
        width, skips = channels[0], [channels[0]] * self.skips_blocks
        for level in range(last + 1):
            ins = [width, *[channels[level]] * (made_of.blocks_down - 1)]
            self.down[f"level{level}"] = self.stage(level, ins)
            width = channels[level]
            skips += [width] * (made_of.blocks_down if self.skips_blocks else level < last)
            if level < last:
                self.downsample[f"level{level}"] = Downsample(width)
                skips += [width] * self.skips_blocks

        # Middle: blocks at the coarsest level, and attention behind the first.
        self.middle = self.stage(last, [width] * made_of.blocks_middle, middle=True)

        # Decoder: a level's blocks take the skip connections; then double.
        self.up = nn.ModuleDict()
        self.upsample = nn.ModuleDict()
        for level in reversed(range(last + 1)):
            ins = []
            for number in range(made_of.blocks_up if self.skips_blocks or level < last else 0):
                ins.append(width + (skips.pop() if self.skips_blocks or number == 0 else 0))
                width = channels[level]
            self.up[f"level{level}"] = self.stage(level, ins, takes_skips=True)
            if level > 0:
                self.upsample[f"level{level}"] = Upsample(width, made_of.convolves_upsampled)

        self.norm = nn.GroupNorm(made_of.groups, channels[0])
        self.out = nn.Conv2d(channels[0], 3, 3, padding=1)

    def stage(self, level: int, ins: list[int], middle: bool = False, takes_skips: bool = False) -> nn.ModuleList:
        """Blocks of one level, each with its attention, for inputs of so many channels."""
        made_of, blocks = self.made_of, nn.ModuleList()
        for number, width in enumerate(ins):
            resnet = ResNetBlock(width, made_of.channels[level], made_of.time_width, made_of.groups)
            behind = 0 if middle else len(ins) - 1
            attends = (made_of.attends == "all levels" or level >= len(made_of.channels) - 2) and (
                number == behind or (made_of.attention_after == "block" and not middle)
            )
            attention = self.attention(level, middle) if attends else None
            blocks.append(Block(resnet, attention, takes_skips and (self.skips_blocks or number == 0)))
        return blocks

    def attention(self, level: int, middle: bool) -> CrossAttention | Transformer:
        made_of = self.made_of
        sizes = made_of.channels[level], made_of.context_width, made_of.heads, made_of.groups
        if made_of.attention == "cross":
            return CrossAttention(*sizes)
        attends_to_itself = made_of.middle_attends_to_itself if middle else made_of.attends_to_itself
        return Transformer(*sizes, attends_to_itself)

    def forward(self, x: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        time = self.time(timestep)  # (B, T)
        time = time if self.told is None else time + self.told(context.mean(1))
        x = self.stem(x)

        # Encoder.
        skips = [x] * self.skips_blocks
        for level, stage in self.down.items():
            for block in stage.children():
                x = block(x, time, context)
                skips += [x] * self.skips_blocks
            if level in self.downsample:
                skips += [x] * (not self.skips_blocks)
                x = self.downsample[level](x)
                skips += [x] * self.skips_blocks

        # Middle.
        for block in self.middle.children():
            x = block(x, time, context)

        # Decoder.
        for level, stage in self.up.items():
            for block in stage.children():
                x = torch.cat([x, skips.pop()], dim=1) if block.takes_skip else x
                x = block(x, time, context)
            x = self.upsample[level](x) if level in self.upsample else x

        return self.out(F.silu(self.norm(x)))


class ScratchDenoiser(ModelMixin, ConfigMixin):
    """Tau + UNet behind the contract: noisy (B, 3, H, W), timestep (B,), condition (B, D) -> (B, 3, H, W)."""

    _supports_gradient_checkpointing = True

    @register_to_config
    def __init__(
        self,
        condition_width: int,
        image_size: int = 64,
        scale: float = 1.0,
        architecture: str = "scratch",
        changes: dict[str, Any] | None = None,  # fields of the architecture, and what they are instead
    ) -> None:
        super().__init__()
        made_of = replace(architecture_of(architecture), **changes or {})
        check_size(image_size, scale, halvings=len(made_of.channels) - 1, groups=made_of.groups)
        made_of = made_of.scaled(scale)
        sizes = made_of.context_tokens, made_of.context_width
        self.tau = Tau(condition_width, *sizes, made_of.normalises_context)
        self.unet = UNet(made_of)

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        return self.unet(noisy, timestep, self.tau(condition))

    def recompute(self) -> None:
        """Compute a convolution's normed input and a feed-forward layer's insides again instead of keeping them.

        They are about half of the memory. `enable_gradient_checkpointing` keeps still less, and computes all again.
        """
        for module in self.modules():
            if isinstance(module, (ResNetBlock, Transformer)):
                module.recomputes = True


def build(condition_width: int, image_size: int, scale: float) -> ScratchDenoiser:
    """The blog post's UNet; scale 1 is the published size, a smaller one has fewer channels."""
    return ScratchDenoiser(condition_width, image_size, scale)
