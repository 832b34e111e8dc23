"""The library contestant: diffusers' UNet2DConditionModel in its three published variants, with Tau."""

from diffusers_unet.unet import DiffusersDenoiser, build_8, build_16, build_32

__all__ = ["DiffusersDenoiser", "build_16", "build_32", "build_8"]
