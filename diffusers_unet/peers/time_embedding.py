"""`UNet2DModel` (diffusers): the attributes are added to the time embedding."""

from diffusers import UNet2DModel
from torch import Tensor, nn


class Denoiser(nn.Module):
    def __init__(self, condition_width: int, image_size: int, channels: int) -> None:
        super().__init__()
        self.told = nn.Linear(condition_width, 4 * channels)  # as wide as the time embedding
        self.unet = UNet2DModel(
            sample_size=image_size,
            in_channels=3,
            out_channels=3,
            block_out_channels=(channels, 2 * channels),
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            class_embed_type="identity",
            norm_num_groups=8,
        )

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        return self.unet(noisy, timestep, class_labels=self.told(condition)).sample


def build(condition_width: int, image_size: int, scale: float) -> nn.Module:
    return Denoiser(condition_width, image_size, 8 * max(1, round(16 * scale)))
