"""The hand-written contestants: one UNet of ResNet blocks and attention for several architectures, and Tau."""

from scratch_unet.architecture import architecture_of
from scratch_unet.tau import Tau
from scratch_unet.unet import ScratchDenoiser, build

__all__ = ["ScratchDenoiser", "Tau", "architecture_of", "build"]
