"""UNet2DConditionModel and Tau as one denoiser, with the blog post's arguments.

diffusers' argument `attention_head_dim` is the *number* of heads in this model (diffusers#2011), so 32 means
32 heads of width 4, 8 and 16 at the three levels; we name it `heads`.
"""

from diffusers import ConfigMixin, ModelMixin, UNet2DConditionModel
from diffusers.configuration_utils import register_to_config
from torch import Tensor

from scratch_unet.tau import Tau, check_size

CHANNELS = (128, 256, 512)
GROUPS = 32
CONTEXT_TOKENS = 256
CONTEXT_WIDTH = 1280


class DiffusersDenoiser(ModelMixin, ConfigMixin):
    """Tau + UNet behind the contract: noisy (B, 3, H, W), timestep (B,), condition (B, D) -> (B, 3, H, W)."""

    _supports_gradient_checkpointing = True

    @register_to_config
    def __init__(
        self,
        condition_width: int,
        image_size: int = 64,
        scale: float = 1.0,
        heads: int = 8,  # at scale 1
        only_cross_attention: bool = False,
    ) -> None:
        super().__init__()
        check_size(image_size, scale, halvings=len(CHANNELS) - 1, groups=GROUPS)
        context_width = round(CONTEXT_WIDTH * scale)
        self.tau = Tau(condition_width, max(2, round(CONTEXT_TOKENS * scale)), context_width)
        self.unet = UNet2DConditionModel(
            sample_size=(image_size, image_size),
            in_channels=3,
            out_channels=3,
            down_block_types=("CrossAttnDownBlock2D",) * 3,
            up_block_types=("CrossAttnUpBlock2D",) * 3,
            block_out_channels=tuple(round(width * scale) for width in CHANNELS),
            layers_per_block=2,
            cross_attention_dim=context_width,
            norm_num_groups=round(GROUPS * scale),
            attention_head_dim=max(1, round(heads * scale)),
            only_cross_attention=only_cross_attention,
        )

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        return self.unet(noisy, timestep, encoder_hidden_states=self.tau(condition)).sample


def build_32(condition_width: int, image_size: int, scale: float) -> DiffusersDenoiser:
    """The blog post's best model: 32 heads, transformer blocks with cross attention only."""
    return DiffusersDenoiser(condition_width, image_size, scale, heads=32, only_cross_attention=True)


def build_16(condition_width: int, image_size: int, scale: float) -> DiffusersDenoiser:
    """16 heads, self and cross attention."""
    return DiffusersDenoiser(condition_width, image_size, scale, heads=16)


def build_8(condition_width: int, image_size: int, scale: float) -> DiffusersDenoiser:
    """8 heads (the library's default), self and cross attention."""
    return DiffusersDenoiser(condition_width, image_size, scale, heads=8)
