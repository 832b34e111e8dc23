"""A stranger's denoisers that misbehave, each in its own way."""

import ctypes
import multiprocessing
import os
import sys

import torch
from torch import Tensor, nn

from tests.plug_in import Plain

print("printed at import")


def build_that_raises(condition_width: int, image_size: int, scale: float) -> nn.Module:
    raise ValueError("no such size\nand a second line")


def build_that_exits(condition_width: int, image_size: int, scale: float) -> nn.Module:
    sys.exit("enough")


def build_nothing(condition_width: int, image_size: int, scale: float) -> nn.Module:
    return None


class WithoutParameters(nn.Module):
    def forward(self, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        return noisy


def build_without_parameters(condition_width: int, image_size: int, scale: float) -> nn.Module:
    return WithoutParameters()


class Smaller(Plain):
    def forward(self, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        return super().forward(noisy, timestep, condition)[..., 1:]


def build_smaller(condition_width: int, image_size: int, scale: float) -> nn.Module:
    return Smaller(condition_width)


class Ending(Plain):
    """Ends the process in forward, on real tensors only: no check without memory sees it."""

    def __init__(self, condition_width: int, end: object) -> None:
        super().__init__(condition_width)
        self.end = end

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        if type(noisy) is Tensor and noisy.device.type != "meta":
            self.end(0)
        return super().forward(noisy, timestep, condition)


def build_that_exits_later(condition_width: int, image_size: int, scale: float) -> nn.Module:
    return Ending(condition_width, sys.exit)


def vanish(status: int) -> None:
    if multiprocessing.parent_process() is not None:  # a worker
        os._exit(status)


def build_that_vanishes(condition_width: int, image_size: int, scale: float) -> nn.Module:
    return Ending(condition_width, vanish)


class Talking(Plain):
    """Prints in every way, and gives every condition the same answer."""

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        print("printed in forward")
        os.write(1, b"written in forward\n")
        ctypes.CDLL(None).puts(b"put in forward, and written by C at the end of the process")
        return super().forward(noisy, timestep, torch.zeros_like(condition))


def build_talking(condition_width: int, image_size: int, scale: float) -> nn.Module:
    print("printed in build", file=sys.__stdout__)
    return Talking(condition_width)


def build_for_an_odd_width(condition_width: int, image_size: int, scale: float) -> nn.Module:
    if condition_width > 2:
        raise ValueError("not an even width, nor this one")
    return Plain(condition_width)
