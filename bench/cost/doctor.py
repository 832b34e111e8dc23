"""The document of `bench doctor`: what this machine is, whether it computes rightly, how fast, and what is missing."""

import importlib.util
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import torch

from bench.config import MATCHED, PRESETS, Sizes
from bench.cost.account import Setting, account, published
from bench.cost.check import LAYOUTS, compare, config_of
from bench.cost.estimate import estimate
from bench.cost.machine import machine_peaks, precisions
from bench.cost.probe import fastest_guided_step, fastest_step
from bench.cost.steps import measured_peak, trial
from bench.data.dataset import AvatarSet
from bench.data.library import DataRequest, render
from bench.environment import commit, environment, free_memory, has_bf16
from bench.errors import BadInput
from bench.quality.inception import cached_inception_weights
from bench.storage.checkpoint import COPIES, KEPT

SCHEMA_VERSION = 1
BATCH = 16  # of the steps that are timed
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def doctor(names: list[str], device: str) -> dict[str, Any]:
    """Everything about this machine that decides whether, and how fast, the suite runs on it."""
    tell("precisions and peaks")
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "environment": environment(device, commit()),
        "device": describe_device(device),
        "precisions": precisions(device),
        "peaks": [machine_peaks(device, precision) for precision in peak_precisions(device)],
    }
    contestants = {name: examine(name, device) for name in names}
    presets = {preset: time_of(preset, contestants) for preset in PRESETS}
    wrong = {name: found["wrong"] for name, found in document["precisions"].items() if found["wrong"]}
    missing = missing_here(document["device"], contestants)
    return document | {"contestants": contestants, "presets": presets, "missing": missing, "wrong": wrong}


def tell(what: str) -> None:
    print(f"doctor: {what}", file=sys.stderr)


def describe_device(device: str) -> dict[str, Any]:
    """The device's kind, what it can execute, and how much memory it has."""
    capability = None
    if device == "cuda":
        total = torch.cuda.get_device_properties().total_memory
        capability = ".".join(map(str, torch.cuda.get_device_capability()))
    else:
        total = psutil.virtual_memory().total
    return {
        "kind": device,
        "instruction_set": torch.backends.cpu.get_cpu_capability() if device == "cpu" else None,
        "compute_capability": capability,
        "memory_bytes": total,
        "free_memory_bytes": free_memory(device),
    }


def peak_precisions(device: str) -> list[str]:
    """As a run has them: none mixed, and bf16 where a GPU has it; on a CPU a run rarely gains by it."""
    return ["no", "bf16"] if device == "cuda" and has_bf16(device) else ["no"]


def examine(name: str, device: str) -> dict[str, Any]:
    """A contestant's small step, timed and with its peak of memory, and at the published size if this is a GPU."""
    tell(f"a few steps of {name}")
    smoke, full = PRESETS["smoke"], PRESETS["full"]
    measured = {size_key(smoke): measure(name, smoke, device)}
    if device == "cuda":
        measured[size_key(full)] = measure(name, full, device)
    return {"measured": measured} | at_full_size(name, device, full.batch_size)


def at_full_size(name: str, device: str, batch_size: int) -> dict[str, Any]:
    """Weights, peak and arithmetic of a contestant as published, accounted; None where it has no such size."""
    setting = replace(published(batch_size), device=device, memory_format=LAYOUTS[device])
    try:
        found = account(name, replace(setting, mixed_precision=peak_precisions(device)[-1]))
    except BadInput:  # a user's model of one size: `measure` says what it cannot do
        found = dict.fromkeys(("weights_bytes", "predicted_peak", "flops_per_image"))
    peak, flops = found["predicted_peak"], found["flops_per_image"]
    return {
        "full_weights_bytes": found["weights_bytes"],
        "full_peak_bytes": peak and peak["bytes"],
        "full_training_flop_per_image": flops and flops["training"],
    }


def size_key(sizes: Sizes) -> str:
    """What decides how long an image takes."""
    return f"{sizes.image_size}×{sizes.image_size}, scale {sizes.scale:g}"


def measure(name: str, sizes: Sizes, device: str) -> dict[str, Any]:
    """Seconds of a training step and of a guided prediction of one image, and the peak of memory; or why there is none.

    The prediction of the peak is of this very step.
    """
    avatars = render(DataRequest("avataaars", images=2 * BATCH, image_size=sizes.image_size))
    setting = Setting(
        avatars.schema.width,
        sizes.image_size,
        sizes.scale,
        BATCH,
        peak_precisions(device)[-1],
        LAYOUTS[device],
        device,
    )
    try:
        return time_and_weigh(name, setting, avatars)
    except Exception as error:  # too large for this machine, or a user's model of one size
        return {"why": f"{type(error).__name__}: {error}".splitlines()[0]}


def time_and_weigh(name: str, setting: Setting, avatars: AvatarSet) -> dict[str, Any]:
    with trial(config_of(name, setting, avatars), avatars) as trainer:
        peak = measured_peak(trainer)
        step, guided = fastest_step(trainer), fastest_guided_step(trainer)
    cost = account(name, setting)
    predicted, flops = cost["predicted_peak"], cost["flops_per_image"]
    return {
        "why": None,
        "batch_size": setting.batch_size,
        "mixed_precision": setting.mixed_precision,
        "memory_format": setting.memory_format,
        "seconds_per_training_step": step,
        "seconds_per_prediction": guided / setting.batch_size,
        "training_flop_per_image": flops and flops["training"],
        "peak_memory": compare(predicted and predicted["bytes"], peak),
    }


def time_of(preset: str, contestants: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Estimated seconds of a preset here, one seed of each contestant by recipe `matched`; None where not known."""
    each = {name: seconds_of(preset, found) for name, found in contestants.items()}
    known = [found["total"] for found in each.values() if found is not None]
    return {
        "seconds": sum(known) if len(known) == len(each) else None,
        "extrapolated": any(size_key(PRESETS[preset]) not in found["measured"] for found in contestants.values()),
        "contestants": each,
    }


def seconds_of(preset: str, found: dict[str, Any]) -> dict[str, float] | None:
    """The estimate for one contestant: from steps of this very size, or from smaller ones by their arithmetic."""
    sizes, measured = PRESETS[preset], found["measured"]
    here = measured.get(size_key(sizes))
    if here is None:
        here = extrapolated(measured[size_key(PRESETS["smoke"])], found["full_training_flop_per_image"])
    if here is None or here["why"] is not None:
        return None
    step = here["seconds_per_training_step"] * sizes.batch_size / here["batch_size"]
    return estimate(sizes, MATCHED, step, here["seconds_per_prediction"])


def extrapolated(small: dict[str, Any], flop_per_image: float | None) -> dict[str, Any] | None:
    """A small step's seconds as those of a larger one, in proportion to their arithmetic; None if that is not known."""
    if small["why"] is not None or not small["training_flop_per_image"] or flop_per_image is None:
        return None
    times = flop_per_image / small["training_flop_per_image"]
    seconds = ("seconds_per_training_step", "seconds_per_prediction")
    return small | {key: times * small[key] for key in seconds}


def missing_here(device: dict[str, Any], contestants: dict[str, dict[str, Any]]) -> list[dict[str, str]]:
    """What is not here, what that costs, and the remedy."""
    found = []
    if importlib.util.find_spec("playwright") is None:
        found.append(("playwright", "tests of the report page do not run", "pip install -e '.[test]'"))
    if not any(map(shutil.which, BROWSERS)):
        found.append(("a browser", "tests of the report page are skipped", "apt-get install chromium"))
    if cached_inception_weights() is None:
        remedy = "get torch-fidelity's weights-inception-*.pth, then --inception-weights FILE"
        found.append(("Inception weights", "no FID (Inception), other distances stand", remedy))
    found += too_little(device, contestants)
    return [dict(zip(("what", "effect", "remedy"), line, strict=True)) for line in found]


def too_little(device: dict[str, Any], contestants: dict[str, dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Memory and disk that preset `full` asks for and that are not here."""
    found, free = [], device["free_memory_bytes"]
    needed = max((each["full_peak_bytes"] or 0 for each in contestants.values()), default=0)
    if needed > free:
        effect = f"full needs {needed / 2**30:.0f} GiB, {free / 2**30:.0f} GiB are free"
        found.append(("memory", effect, "run --preset full with a smaller --batch-size or --scale"))
    weights = [each["full_weights_bytes"] or 0 for each in contestants.values()]
    disk, room = KEPT * COPIES * sum(weights) + COPIES * max(weights), shutil.disk_usage(Path()).free
    if disk > room:
        effect = f"checkpoints of full need {disk / 2**30:.0f} GiB, {room / 2**30:.0f} GiB are free"
        found.append(("disk", effect, "make room, or use an --out elsewhere"))
    return found
