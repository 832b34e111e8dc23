"""`PixArtTransformer2DModel` (diffusers), which works on patches: the attributes are tokens that it attends to."""

from diffusers import PixArtTransformer2DModel
from torch import Tensor, nn


class Denoiser(nn.Module):
    def __init__(self, condition_width: int, image_size: int, width: int) -> None:
        super().__init__()
        self.tokens = nn.Linear(condition_width, 16 * 64)
        self.transformer = PixArtTransformer2DModel(
            sample_size=image_size,
            patch_size=4,
            in_channels=3,
            out_channels=3,
            num_layers=8,
            num_attention_heads=4,
            attention_head_dim=width // 4,
            cross_attention_dim=width,
            caption_channels=64,
            use_additional_conditions=False,
        )

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        context = self.tokens(condition).unflatten(1, (16, 64))  # (B, 16, 64)
        return self.transformer(noisy, context, timestep).sample


def build(condition_width: int, image_size: int, scale: float) -> nn.Module:
    return Denoiser(condition_width, image_size, 16 * max(1, round(24 * scale)))
