"""The document of `bench anatomy`: accounts of full-size training steps, what they leave room for, and how long."""

import functools
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any

from bench.cost.terms import KEPT, PEAK_OF, floor_seconds

SCHEMA_VERSION = 1
MIB = 2**20
# The blog post's sum over all modules, in MB of 2^20 bytes; it gives one only for its own model at this setting.
SOURCE_HOOK_SUM_MIB = {"contestant": "scratch", "image_size": 64, "batch_size": 128, "mib": 18_319}


@dataclass(frozen=True)
class Question:
    """What is asked of `bench anatomy`."""

    names: list[str]
    image_size: int
    batch_size: int
    scale: float = 1.0  # of the published number of channels
    mixed_precision: str = "no"
    device: str = "cuda"  # whose rules for mixed precision hold
    gradient_checkpointing: bool = False
    memory_bytes: int | None = None  # how much there is, to find the largest batch for
    peak: float | str | None = None  # FLOP/s as stated, or "measured": here and now
    check: bool = False  # hold predictions against real steps of scaled models


def anatomy(question: Question) -> dict[str, Any]:
    """Everything that is asked of all contestants; several are accounted side by side, in processes of their own."""
    asked = [(name, question) for name in question.names]
    rows = described_together(asked) if len(asked) > 1 else [describe(each) for each in asked]
    document = {
        "schema_version": SCHEMA_VERSION,
        "batch_size": question.batch_size,
        "image_size": question.image_size,
        "scale": question.scale,
        "mixed_precision": question.mixed_precision,
        "device": question.device,
        "gradient_checkpointing": question.gradient_checkpointing,
        "contestants": rows,
    }
    if question.peak is not None:
        with_time_floor(document, question)
    if question.check:
        from bench.cost.check import check_predictions

        checked = check_predictions(question.names, question.mixed_precision, question.gradient_checkpointing)
        for row in rows:
            row["prediction_checked"] = checked[row["name"]]
    return document


def described_together(asked: list[tuple[str, Question]]) -> list[dict[str, Any]]:
    """Each in a process that is forked from one that has imported everything: importing is half of the time."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["bench.cost.account"])
    with ProcessPoolExecutor(min(os.cpu_count() or 1, len(asked)), context) as processes:
        return list(processes.map(describe, asked))


def describe(asked: tuple[str, Question]) -> dict[str, Any]:
    """One contestant's entry in the document."""
    from bench.cost.account import account, one_token, published

    name, question = asked
    setting = replace(
        published(question.batch_size),
        image_size=question.image_size,
        scale=question.scale,
        mixed_precision=question.mixed_precision,
        device=question.device,
        gradient_checkpointing=question.gradient_checkpointing,
    )
    accounted = functools.cache(lambda batch_size: account(name, replace(setting, batch_size=batch_size)))
    cost = accounted(question.batch_size)
    room = None
    if question.memory_bytes is not None and not cost["untraced"]:
        print(f"{name}: looking for the largest batch", file=sys.stderr)  # a few more accounts, seconds each
        batch_size = largest_batch(
            lambda size: accounted(size)["predicted_peak"]["bytes"], question.memory_bytes, question.batch_size
        )
        # of tensors alone: an allocator and a GPU's libraries want their share, too
        room = {"memory_mib": question.memory_bytes / MIB, "batch_size": batch_size}
    return {
        "name": name,
        "parameters": cost["parameters"],
        "memory_mib": memory_mib(cost),
        "source_hook_sum": source_hook_sum(name, question, cost),
        "levels": by_level(cost),
        **step_figures(cost),
        "attention": cost["attention"],
        "one_token_contexts": one_token(cost["attention"]),
        "largest_batch": room,
        "time_floor": None,
        "prediction_checked": None,
        "untraced": cost["untraced"],
    }


# "kept" are weights, moments and average; "transient" is what neither lasts nor is saved. They sum to the peak.
PEAK_PARTS = ("kept", "saved", "gradients", "batch", "transient")


def step_figures(cost: dict[str, Any]) -> dict[str, Any]:
    """GFLOP per image, arithmetic intensity and what the peak is made of; None where the step could not be followed."""
    flops, peak = cost["flops_per_image"], cost["predicted_peak"]
    if flops is None:
        return dict.fromkeys(("gflop_per_image", "flop_per_byte", "peak_parts_mib", "peak_operation"))
    forward = {kind: flops[f"forward_{kind}"] for kind in ("conv", "linear", "attention")}
    return {
        "gflop_per_image": {kind: count / 1e9 for kind, count in (flops | forward).items()},
        "flop_per_byte": flops["training"] * cost["batch_size"] / cost["traffic_bytes_per_step"],
        "peak_parts_mib": {part: peak[f"{part}_bytes"] / MIB for part in PEAK_PARTS},
        "peak_operation": peak["operation"],
    }


def memory_mib(cost: dict[str, Any]) -> dict[str, float | None]:
    """MiB by kind; None for what only the step could have told."""
    activations, peak = cost["activations"] or {}, cost["predicted_peak"] or {}
    found = {
        "weights": cost["weights_bytes"],
        "adam": cost["adam_bytes"],
        "gradients": cost["gradients_bytes"],
        "ema": cost["ema_bytes"],
        "activations_hook_sum": activations.get("hook_sum_bytes"),
        "activations_saved": activations.get("saved_bytes"),
        "predicted_peak": peak.get("bytes"),
    }
    return {kind: None if count is None else count / MIB for kind, count in found.items()}


def by_level(cost: dict[str, Any]) -> list[dict[str, Any]]:
    """Parameters and memory of every level; all bytes kept for parameters are four to each."""
    share = {kind: cost[f"{kind}_bytes"] / cost["parameters"]["total"] / MIB for kind in KEPT}
    return [
        {
            "level": level,
            "parameters": here["parameters"],
            "memory_mib": {kind: here["parameters"] * each for kind, each in share.items()}
            | {"activations_saved": here["saved_bytes"] / MIB},
        }
        for level, here in (cost["levels"] or {}).items()
    ]


def source_hook_sum(name: str, question: Question, cost: dict[str, Any]) -> dict[str, float] | None:
    """The blog post's figure and our ratio to it, where it gives one for this setting."""
    theirs = SOURCE_HOOK_SUM_MIB
    same = (name, question.image_size, question.batch_size) == tuple(theirs[key] for key in list(theirs)[:3])
    plain = question.mixed_precision == "no" and not question.gradient_checkpointing and question.scale == 1
    if not (same and plain) or cost["activations"] is None:
        return None
    return {"mib": theirs["mib"], "ratio": cost["activations"]["hook_sum_bytes"] / MIB / theirs["mib"]}


def largest_batch(peak_of: Callable[[int], int], memory: int, start: int) -> int:
    """The largest batch whose peak fits; 0 if none does. `start` is the first guess."""
    fits, too_large = 1, max(start, 2)
    peaks = {size: peak_of(size) for size in (fits, too_large)}
    if peaks[fits] > memory:
        return 0
    while peaks[too_large] <= memory:
        slope = (peaks[too_large] - peaks[fits]) / (too_large - fits)
        further = int((memory - peaks[too_large]) / slope) + 1 if slope else too_large
        fits, too_large = too_large, too_large + further
        peaks[too_large] = peak_of(too_large)
    while too_large - fits > 1:
        # A peak grows evenly with the batch, or faster at large ones: the straight line never guesses too high.
        share = (memory - peaks[fits]) / (peaks[too_large] - peaks[fits])
        guess = min(max(fits + int(share * (too_large - fits)), fits + 1), too_large - 1)
        peaks[guess] = peak_of(guess)
        if peaks[guess] <= memory:
            fits = guess
        else:
            too_large = guess
    return fits


def with_time_floor(document: dict[str, Any], question: Question) -> None:
    """Add the least seconds that the arithmetic takes: at one stated rate, or at the peaks measured here by kind."""
    if question.peak == "measured":
        from bench.cost.machine import machine_peaks
        from bench.environment import choose_device

        peaks = machine_peaks(choose_device("auto"), question.mixed_precision)
        document["machine_peak"] = peaks
    else:
        peaks = dict.fromkeys(PEAK_OF.values(), question.peak)
    for entry in document["contestants"]:
        gflop = entry["gflop_per_image"]
        if gflop is not None:
            seconds = floor_seconds({kind: 1e9 * count for kind, count in gflop.items()}, peaks)
            assert seconds is not None
            entry["time_floor"] = {
                "gflop_per_second": gflop["training"] / seconds if seconds else 0.0,
                "seconds_per_image": seconds,
                "seconds_per_step": seconds * question.batch_size,
            }
