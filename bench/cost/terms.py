"""The terms in which costs are told, for accountants and renderers alike."""

from typing import Any, get_args

from bench.record.cost import StepPart

TAU, REST = "tau", "rest"  # the conditioner, and what works at no one resolution: embeddings of time, say
KEPT = ("weights", "gradients", "adam", "ema")  # bytes that come with each parameter
PARTS: tuple[StepPart, ...] = get_args(StepPart)  # of a training step


def square(height: int) -> str:
    return f"{height}×{height}"


def finest_first(levels: set[str]) -> list[str]:
    """Levels in the order of the way down, then Tau, then the rest."""
    return sorted(levels, key=lambda level: -int(level.split("×")[0]) if "×" in level else (level == REST))


PEAK_OF = {
    "conv": "convolution_flop_per_second",
    "linear": "gemm_flop_per_second",
    "attention": "attention_flop_per_second",
}


def floor_seconds(flops: dict[str, float], peaks: dict[str, Any]) -> float | None:
    """The least seconds that an image's training can take: FLOP of each kind over the machine's peak of that kind.

    None where a count or a peak is not there, as in records from before they were taken.
    """
    seconds = 0.0
    for kind, key in PEAK_OF.items():
        count, rate = flops.get(f"training_{kind}"), peaks.get(key)
        if count is None or rate is None:
            return None
        seconds += count / rate
    return seconds
