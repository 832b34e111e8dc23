"""What the machine can do: whether it computes what it should, in which precisions it gains, and its peaks.

`bench run` and `bench doctor` ask the same functions.
"""

import copy
import functools
import timeit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.contestants import MEMORY_FORMATS
from bench.cost.account import AUTOCAST
from bench.environment import has_bf16
from bench.errors import BadInput, RunFailed
from bench.training.trainer import synchronise

TIMES = 12
COARSE, FINE = 0.05, 0.01  # of the largest value: bfloat16 keeps 8 bits, fp16 and TF32 keep 11


@dataclass(frozen=True)
class Amounts:
    """How large the operations are that are timed."""

    rows: int  # of square matrices
    images: tuple[int, int, int]  # images, channels, height and width
    heads: tuple[int, int, int, int]  # images, heads, tokens, head width
    copied: int  # numbers that are copied


# Large operations reach the peak. Ratios need small ones: a CPU without bf16 takes up to a hundred times as long.
PEAK = {"cpu": Amounts(1536, (8, 128, 32), (2, 8, 1024, 64), 2**25)}
PEAK_OF_A_GPU = Amounts(8192, (32, 512, 64), (16, 16, 4096, 64), 2**28)
RATIO = {"cpu": Amounts(192, (2, 32, 16), (1, 4, 256, 32), 2**20)}
RATIO_OF_A_GPU = Amounts(4096, (32, 256, 32), (8, 8, 1024, 64), 2**26)
DTYPES = {"fp32": torch.float32, "TF32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def check_arithmetic(device: str, precision: str) -> None:
    """RunFailed unless a run computes rightly in this precision."""
    if (device, precision) == ("cpu", "fp16"):
        raise BadInput("fp16 needs a GPU, and the run was begun with it: go on there, or pass --fresh")
    found = what_is_wrong(device, AUTOCAST.get(precision, torch.float32))
    if found:
        raise RunFailed(f"{device} computes wrongly in precision {precision}, {found}; try --mixed-precision no")


def what_is_wrong(device: str, dtype: torch.dtype) -> str | None:
    """What comes out wrong: a convolution or a small network in a memory layout, or attention; None if nothing does.

    A sum of four ones has been seen to be 1 in bfloat16 on a CPU (pytorch#163347).
    """
    tolerance = COARSE if dtype == torch.bfloat16 else FINE
    for name, layout in MEMORY_FORMATS.items():
        ones = torch.ones(1, 1, 2, 2, device=device, dtype=dtype).to(memory_format=layout)
        found = F.conv2d(ones, ones).item()
        if found != 4:
            return f"{name}: four ones sum to {found}"
        error = error_of_a_network(device, dtype, layout)
        if not error < tolerance:
            return f"{name}: a small network is off by {error:.2g}"
    error = error_of_attention(device, dtype)
    return None if error < tolerance else f"attention is off by {error:.2g}"


@torch.inference_mode()
def error_of_a_network(device: str, dtype: torch.dtype, layout: torch.memory_format) -> float:
    """The largest difference from the same network in double precision on the CPU, over the largest value there."""
    generator = torch.Generator().manual_seed(0)
    convolutions = nn.Sequential(nn.Conv2d(3, 32, 3), nn.GroupNorm(4, 32), nn.SiLU(), nn.Conv2d(32, 8, 3))
    plain = nn.Sequential(convolutions, nn.Flatten(), nn.Linear(8 * 4 * 4, 16))
    for parameter in plain.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) / 8)
    images = torch.randn(2, 3, 8, 8, generator=generator)
    exact = copy.deepcopy(plain).double()(images.double())
    network = plain.to(device).to(dtype).to(memory_format=layout)
    return relative_error(network(images.to(device, dtype=dtype).to(memory_format=layout)), exact)


@torch.inference_mode()
def error_of_attention(device: str, dtype: torch.dtype) -> float:
    """The same of scaled dot-product attention."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 4, tokens, 8, generator=generator) for tokens in (64, 32, 32))
    exact = (query.double() @ key.double().mT / 8**0.5).softmax(-1) @ value.double()
    there = functools.partial(torch.Tensor.to, device=device, dtype=dtype)
    found = F.scaled_dot_product_attention(there(query), there(key), there(value))
    return relative_error(found, exact)


def relative_error(found: Tensor, exact: Tensor) -> float:
    return float((found.cpu().double() - exact).abs().max() / exact.abs().max())


def machine_peaks(device: str, precision: str) -> dict[str, Any]:
    """The peak of each kind of operation: FLOP/s, and bytes/s of a copy; the fastest of many.

    `convolution_flop_per_second` is that of the faster layout. A 3×3 convolution is counted as it is defined; computed
    by Winograd's algorithm it takes fewer multiplications, and may then beat the matrix product.
    """
    torch.set_float32_matmul_precision("high")  # as in training
    dtype, amounts = AUTOCAST.get(precision, torch.float32), PEAK.get(device, PEAK_OF_A_GPU)
    rates = rates_of(device, dtype, amounts, tuple(operations(amounts)))
    by_layout = {f"convolution_{layout}_flop_per_second": rates[layout] for layout in MEMORY_FORMATS}
    return {
        "precision": precision,
        "gemm_flop_per_second": rates["gemm"],
        "convolution_flop_per_second": max(by_layout.values()),
        **by_layout,
        "attention_flop_per_second": rates["attention"],
        "memory_bytes_per_second": rates["memory"],
    }


def operations(amounts: Amounts) -> dict[str, float]:
    """FLOP of each kind of operation at this size, and the bytes that a copy in fp32 reads and writes."""
    images, channels, side = amounts.images
    batch, heads, tokens, width = amounts.heads
    convolution = 2 * images * side**2 * channels**2 * 9
    return {
        "gemm": 2 * amounts.rows**3,
        **dict.fromkeys(MEMORY_FORMATS, convolution),
        "attention": 4 * batch * heads * tokens**2 * width,
        "memory": 2 * 4 * amounts.copied,
    }


def prepared(kind: str, device: str, dtype: torch.dtype, amounts: Amounts) -> Callable[[], Tensor]:
    """An operation of this kind on random numbers, ready to be timed."""
    random = functools.partial(torch.randn, device=device, dtype=dtype)
    if kind == "gemm":
        return functools.partial(torch.mm, random(amounts.rows, amounts.rows), random(amounts.rows, amounts.rows))
    if kind == "attention":
        query, key, value = (random(*amounts.heads) for _ in range(3))
        return functools.partial(F.scaled_dot_product_attention, query, key, value)
    if kind == "memory":
        source = torch.zeros(amounts.copied, device=device)
        return functools.partial(torch.empty_like(source).copy_, source)
    images, channels, side = amounts.images
    shapes = (images, channels, side, side), (channels, channels, 3, 3)
    picture, kernel = (random(*shape).to(memory_format=MEMORY_FORMATS[kind]) for shape in shapes)
    return functools.partial(F.conv2d, picture, kernel, padding=1)


@torch.inference_mode()
def rates_of(device: str, dtype: torch.dtype, amounts: Amounts, kinds: tuple[str, ...]) -> dict[str, float]:
    """FLOP/s, or bytes/s, of each kind of operation."""
    work = operations(amounts)
    return {kind: work[kind] / fastest(prepared(kind, device, dtype, amounts)) for kind in kinds}


def fastest(run: Callable[[], Tensor]) -> float:
    """Seconds of the fastest run of many; the device is waited for."""
    return min(timeit.repeat(lambda: synchronise(run().device), number=1, repeat=TIMES))


@contextmanager
def arithmetic(tf32: bool) -> Iterator[None]:
    """Matrix products and convolutions in TF32 or in full fp32; afterwards as the harness trains."""
    convolutions = torch.backends.cudnn.allow_tf32
    try:
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        torch.backends.cudnn.allow_tf32 = tf32
        yield
    finally:
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = convolutions


def precisions(device: str) -> dict[str, dict[str, Any]]:
    """Of each precision whether it computes rightly here, and how many times as fast as fp32 it is.

    `wrong` and `why` are None where nothing is wrong, or missing.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, dtype in DTYPES.items():
        if name == "TF32" and device != "cuda":
            found[name] = unavailable("only NVIDIA GPUs have it")
            continue
        try:
            with arithmetic(tf32=name == "TF32"):
                wrong = what_is_wrong(device, dtype)
                rates = rates_of(device, dtype, RATIO.get(device, RATIO_OF_A_GPU), ("gemm", "channels_last"))
        except RuntimeError as error:  # an operation that this build of torch does not have in this precision
            found[name] = unavailable(str(error).splitlines()[0])
            continue
        first = found["fp32"]["rates"] if found else rates
        found[name] = {
            "wrong": wrong,
            "why": None,
            "instructions": has_bf16(device) if name == "bf16" else None,  # None: not asked
            "rates": rates,
            "gemm_speedup": rates["gemm"] / first["gemm"],
            "convolution_speedup": rates["channels_last"] / first["channels_last"],
        }
    return found


def unavailable(why: str) -> dict[str, Any]:
    nothing = dict.fromkeys(("wrong", "instructions", "rates", "gemm_speedup", "convolution_speedup"))
    return nothing | {"why": why}
