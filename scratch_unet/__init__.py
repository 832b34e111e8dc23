"""The hand-written contestants: one UNet of ResNet blocks and attention for several architectures, and Tau."""

from scratch_unet.tau import Tau
from scratch_unet.twin import build_8, build_16, build_32
from scratch_unet.unet import ScratchDenoiser, build

__all__ = ["ScratchDenoiser", "Tau", "build", "build_16", "build_32", "build_8"]
