"""The hand-written contestant: a ResNet UNet with multi-head cross attention, and Tau, its conditioner."""

from scratch_unet.tau import Tau
from scratch_unet.unet import ScratchDenoiser, build

__all__ = ["ScratchDenoiser", "Tau", "build"]
