"""Whether this machine computes what it should: some builds of some libraries on some processors do not."""

import copy

import torch
from torch import nn
from torch.nn import functional as F

from bench.batches import MEMORY_FORMATS
from bench.cost.account import AUTOCAST
from bench.errors import BadInput, RunFailed

TOLERANCE = 0.05  # of the largest value: bfloat16 keeps 8 bits


def check_arithmetic(device: str, precision: str) -> None:
    """RunFailed unless convolutions come out right in this precision, in both memory layouts.

    A sum of four ones has been seen to be 1 in bfloat16 on a CPU (pytorch#163347).
    """
    if (device, precision) == ("cpu", "fp16"):
        raise BadInput("fp16 needs a GPU, and the run was begun with it: go on there, or pass --fresh")
    dtype = AUTOCAST.get(precision, torch.float32)
    for name, layout in MEMORY_FORMATS.items():
        ones = torch.ones(1, 1, 2, 2, device=device, dtype=dtype).to(memory_format=layout)
        found = F.conv2d(ones, ones).item()
        if found != 4:
            raise wrong(precision, device, name, f"four ones sum to {found}")
        error = error_of_a_network(device, dtype, layout)
        if not error < TOLERANCE:
            raise wrong(precision, device, name, f"a small network is off by {error:.2g}")


@torch.inference_mode()
def error_of_a_network(device: str, dtype: torch.dtype, layout: torch.memory_format) -> float:
    """The largest difference from the same network in double precision on the CPU, over the largest value there."""
    generator = torch.Generator().manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 32, 3), nn.GroupNorm(4, 32), nn.SiLU(), nn.Conv2d(32, 8, 3), nn.Flatten())
    for parameter in plain.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) / 8)
    images = torch.randn(2, 3, 8, 8, generator=generator)
    exact = copy.deepcopy(plain).double()(images.double())
    network = plain.to(device).to(dtype).to(memory_format=layout)
    found = network(images.to(device, dtype=dtype).to(memory_format=layout)).cpu().double()
    return float((found - exact).abs().max() / exact.abs().max())


def wrong(precision: str, device: str, layout: str, what: str) -> RunFailed:
    return RunFailed(f"{device} computes wrongly in precision {precision}, {layout}: {what}; try --mixed-precision no")
