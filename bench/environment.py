"""What a measurement was made on: versions, device, threads, commit. No host name and no path."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from bench.errors import BadInput

PACKAGES = ("torch", "diffusers", "accelerate", "torchmetrics", "torch-fidelity", "einops", "dicebear-styles")


def environment(device: str) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "commit": commit(),
    }


def device_name(device: str) -> str:
    """What the device is called, with the number of cores for a CPU."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"{cpu_model()}, {os.cpu_count()} cores" if device == "cpu" else device


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def commit() -> str | None:
    """The commit that the harness stands at, with `-dirty` if files differ from it; None outside a checkout."""
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=here, capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def choose_device(asked: str) -> str:
    """`auto` to the best device here; BadInput if the one asked for is not here."""
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if asked == "auto":
        return next(name for name, available in here.items() if available)
    if not here[asked]:
        raise BadInput(f"--device {asked} is not available here: use --device cpu, or auto")
    return asked
