"""The terms in which costs are told, for accountants and renderers alike."""

from typing import Any

TAU, REST = "tau", "rest"  # the conditioner, and what works at no one resolution: embeddings of time, say
KEPT = ("weights", "gradients", "adam", "ema")  # bytes that come with each parameter
PARTS = ("data", "forward", "backward", "optimiser", "ema", "else")  # of a training step


def square(height: int) -> str:
    return f"{height}×{height}"


def finest_first(levels: set[str]) -> list[str]:
    """Levels in the order of the way down, then Tau, then the rest."""
    return sorted(levels, key=lambda level: -int(level.split("×")[0]) if "×" in level else (level == REST))


def best_rate(peaks: dict[str, Any]) -> float:
    """FLOP/s of the machine's faster one, matrix product or convolution: what no share may exceed."""
    return max(peaks["gemm_flop_per_second"], peaks["convolution_flop_per_second"])
