"""From a contestant's name to its model: the one importer of both model packages, and of a user's own."""

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

import diffusers_unet
import scratch_unet
from bench.config import contestant_names
from bench.errors import BadInput

Builder = Callable[[int, int, float], nn.Module]  # (condition_width, image_size, scale)

PUBLISHED_CONDITION_WIDTH = 217  # Cartoon Set's; the published totals are for it
PUBLISHED_IMAGE_SIZE = 64


@dataclass(frozen=True)
class Contestant:
    """A denoiser that can be built at any scale; `blocks` says in words what its UNet is made of."""

    name: str
    build: Builder
    blocks: str | None = None


OURS = {
    contestant.name: contestant
    for contestant in (
        Contestant("scratch", scratch_unet.build, "resnet blocks, multi-head cross attention"),
        Contestant("diffusers-32", diffusers_unet.build_32, "resnet blocks, transformer block (cross attention only)"),
        Contestant("diffusers-16", diffusers_unet.build_16, "resnet blocks, transformer block (self and cross)"),
        Contestant("diffusers-8", diffusers_unet.build_8, "resnet blocks, transformer block (self and cross)"),
    )
}
PLUG_IN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def contestant(name: str) -> Contestant:
    """One of ours, or `package.module:function`; BadInput with the nearest names otherwise."""
    if ":" not in name:
        return OURS[contestant_names(name)[0]]
    if not PLUG_IN.fullmatch(name):
        raise BadInput(f"contestant '{name}' is not of the form package.module:function")
    module, _, function = name.partition(":")
    try:
        return Contestant(name, getattr(importlib.import_module(module), function))
    except Exception as error:  # whatever a user's module does when it is imported
        raise BadInput(f"contestant '{name}' cannot be loaded ({error}): is its package on PYTHONPATH?") from error


def names(text: str) -> list[str]:
    """`scratch,diffusers-32` or `all` to names of contestants that can be loaded, each once."""
    return [contestant(name).name for name in contestant_names(text)]


def build(name: str, condition_width: int, image_size: int, scale: float, seed: int = 0) -> nn.Module:
    """The contestant's model, its weights drawn from `seed`."""
    torch.manual_seed(seed)
    return contestant(name).build(condition_width, image_size, scale)


def try_build(name: str, condition_width: int, image_size: int, scale: float) -> nn.Module:
    """The model on the current default device; BadInput if it cannot be of this size."""
    try:
        return contestant(name).build(condition_width, image_size, scale)
    except Exception as error:
        raise BadInput(f"contestant {name}: {error}") from error


def build_on_meta(name: str, condition_width: int, image_size: int, scale: float) -> nn.Module:
    """The model without memory for its weights; BadInput if it cannot be of this size."""
    with torch.device("meta"):
        return try_build(name, condition_width, image_size, scale)


def check(name: str, image_size: int, scale: float, condition_width: int = 2) -> None:
    """BadInput unless the contestant keeps the contract at this size: built and called, on the meta device."""
    denoiser = build_on_meta(name, condition_width, image_size, scale)
    noisy = torch.zeros(2, 3, image_size, image_size, device="meta")
    try:
        with torch.device("meta"):
            prediction = denoiser(noisy, torch.zeros(2, dtype=torch.long), torch.zeros(2, condition_width))
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadInput(
            f"contestant {name} cannot be called at image size {image_size}, scale {scale}: {first}"
        ) from error
    if getattr(prediction, "shape", None) != noisy.shape:
        raise BadInput(f"contestant {name} must return a tensor like its images (B, 3, H, W)")
