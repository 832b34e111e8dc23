"""`Unet` of denoising-diffusion-pytorch, which has no condition: the attributes are constant channels of the image."""

import torch
from denoising_diffusion_pytorch import Unet
from torch import Tensor, nn


class Denoiser(nn.Module):
    def __init__(self, condition_width: int, channels: int) -> None:
        super().__init__()
        self.told = nn.Linear(condition_width, 8)
        self.unet = Unet(dim=channels, dim_mults=(1, 2, 4), channels=3 + 8, out_dim=3)

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        told = self.told(condition)[:, :, None, None].expand(-1, -1, *noisy.shape[2:])
        return self.unet(torch.cat([noisy, told], dim=1), timestep)


def build(condition_width: int, image_size: int, scale: float) -> nn.Module:
    return Denoiser(condition_width, 8 * max(1, round(16 * scale)))
