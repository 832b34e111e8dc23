"""`UNet2DConditionModel` (diffusers), with two levels: the attributes are tokens that it attends to."""

from diffusers import UNet2DConditionModel
from torch import Tensor, nn


class Denoiser(nn.Module):
    def __init__(self, condition_width: int, image_size: int, channels: int) -> None:
        super().__init__()
        self.tokens = nn.Linear(condition_width, 16 * 64)
        self.unet = UNet2DConditionModel(
            sample_size=image_size,
            in_channels=3,
            out_channels=3,
            block_out_channels=(channels, 2 * channels),
            down_block_types=("CrossAttnDownBlock2D",) * 2,
            up_block_types=("CrossAttnUpBlock2D",) * 2,
            cross_attention_dim=64,
            attention_head_dim=4,  # the number of heads
            norm_num_groups=8,
        )

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        context = self.tokens(condition).unflatten(1, (16, 64))  # (B, 16, 64)
        return self.unet(noisy, timestep, context).sample


def build(condition_width: int, image_size: int, scale: float) -> nn.Module:
    return Denoiser(condition_width, image_size, 8 * max(1, round(16 * scale)))
