"""What a measurement was made on: versions, device, threads, load, commit. No host name and no path."""

import ast
import functools
import hashlib
import inspect
import math
import multiprocessing
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch

import diffusers_unet
import scratch_unet
from bench import contestants
from bench.config import differences
from bench.errors import BadInput, known

PACKAGES = ("torch", "diffusers", "accelerate", "torchmetrics", "torch-fidelity", "einops", "dicebear-styles")
# What decides what a contestant learns, beside the model packages: rooms and files of the harness.
TRAINING = (
    "training",
    "runs/train.py",
    "sampling",
    "data",
    "randomness.py",
    "contestants.py",
    "contract.py",
    "distributed.py",
)
SCORING = ("quality", "runs/evaluation.py")  # what decides, beside these, which numbers its samples get
CODE = ("bench", "scratch_unet", "diffusers_unet", "pyproject.toml")


def environment(device: str, code: str | None, load: float | None = None) -> dict[str, Any]:
    """Versions, device, threads, system; `code` is the commit, `load` other work per core, as the run began."""
    return {
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "device": device_name(device),
        "instruction_set": instruction_set(device),
        "load_average": load,
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "commit": code,
    }


def start(device: str, code: str | None, step: int) -> dict[str, Any]:
    """Where, and by what code, training began or was taken up at a step; all but these two decide over bits."""
    return {
        "step": step,
        "commit": code,
        "device": hardware(device),
        "instruction_set": instruction_set(device),
        "threads": torch.get_num_threads(),
        **{name: version(name) for name in ("torch", "diffusers", "accelerate")},
    }


def changed_between(starts: list[dict[str, Any]]) -> list[str]:
    """`field: old -> new` for everything that decides over bits and was not the same at every start of a run."""
    bits = [{name: value for name, value in each.items() if name not in ("step", "commit")} for each in starts]
    return list(dict.fromkeys(line for a, b in zip(bits, bits[1:], strict=False) for line in differences(a, b)))


def device_name(device: str) -> str:
    """What the device is called; a CPU with its cores and instruction set, as names of CPUs often leave that open."""
    return f"{hardware(device)}, {instruction_set(device)}" if device == "cpu" else hardware(device)


def hardware(device: str) -> str:
    """The device's own name, with the number of cores for a CPU."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"{cpu_model()}, {os.cpu_count()} cores" if device == "cpu" else device


def instruction_set(device: str) -> str | None:
    """The vector instructions that torch uses on a CPU, or a GPU's compute capability; None where there is neither."""
    if device == "cuda":
        return "compute capability {}.{}".format(*torch.cuda.get_device_capability())
    if device != "cpu":
        return None
    return torch.backends.cpu.get_cpu_capability() + (" with bf16" if has_bf16(device) else "")


def load_average() -> float | None:
    """The load of the last minute that is not ours, per core; None where unknown."""
    try:
        own, starter = psutil.Process(), multiprocessing.parent_process()
        processes = [own] if starter is None else [own, psutil.Process(starter.pid)]
        ours = sum(map(load_by, processes))
        return max(0.0, os.getloadavg()[0] - ours) / (os.cpu_count() or 1)
    except (OSError, AttributeError, psutil.Error):
        return None


def load_by(process: psutil.Process) -> float:
    """What a process and its finished children add to the one-minute load, if they have worked evenly."""
    age = max(time.time() - process.create_time(), 1.0)
    return sum(process.cpu_times()[:4]) / age * -math.expm1(-age / 60)


def cpu_model() -> str:
    return cpuinfo("model name") or platform.processor() or platform.machine()


def cpuinfo(field: str) -> str:
    """A field of Linux' description of the first processor; empty where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


def has_bf16(device: str) -> bool:
    """Whether the device computes in bf16 by instructions of its own; a CPU without them is many times slower in it."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device == "cpu" and bool({"avx512_bf16", "amx_bf16", "bf16"} & set(cpuinfo_flags()))


def cpuinfo_flags() -> list[str]:
    return (cpuinfo("flags") or cpuinfo("Features")).split()  # as x86 and Arm call them


def commit() -> str | None:
    """The commit that the code stands at, with `-dirty` if the code differs from it; None outside a checkout.

    Where the environment has UNET_BENCH_COMMIT, that: a copy of the code elsewhere may lie in another checkout.
    """
    told = os.environ.get("UNET_BENCH_COMMIT")
    if told:
        return told
    try:
        head = git("rev-parse", "--short=12", "HEAD")
        changed = git("status", "--porcelain", "--", *CODE)
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{head}-dirty" if changed else head


@functools.cache  # what was imported is what trains, whatever becomes of the files meanwhile
def training_code(contestant: str) -> str:
    """A digest of the source that decides what a contestant learns: its own, both model packages, and the harness'."""
    models = [Path(inspect.getfile(package)).parent for package in (scratch_unet, diffusers_unet)]
    own = [] if contestants.is_ours(contestant) else source_of(contestant)
    return digest_of([*rooms(TRAINING), *models], own)


@functools.cache
def scoring_code() -> str:
    """A digest of the source that scores samples."""
    return digest_of(rooms(SCORING))


def rooms(names: tuple[str, ...]) -> list[Path]:
    return [Path(__file__).parent / name for name in names]


def digest_of(rooms: list[Path], more: Iterable[Path] = ()) -> str:
    """The first 12 hex digits of the sha256 of files and folders of Python, in their order, and of more files."""
    files = [file for room in rooms for file in (sorted(room.glob("*.py")) or [room])] + [*more]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def source_of(plug_in: str) -> list[Path]:
    """The files of a user's module: the whole package that it is part of, or it and what it imports from its folder."""
    contestants.contestant(plug_in)  # imports it
    top = sys.modules[re.split(r"[.:]", plug_in)[0]]
    if hasattr(top, "__path__"):
        return [file for folder in top.__path__ for file in files_of(Path(folder))]
    own = Path(inspect.getfile(top))
    found, asked = {own}, [own]
    while asked:
        beside = [own.parent / name for name in imported_by(asked.pop()) if name not in CODE]
        files = [file for path in beside for file in (path.with_suffix(".py"), *files_of(path)) if file.exists()]
        new = {*files} - found
        found |= new
        asked += new
    return sorted(found)


def files_of(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def imported_by(file: Path) -> set[str]:
    """The first parts of the names of all that a file imports, at its top or later."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    return {name.partition(".")[0] for name in names}


def git(*words: str) -> str:
    root = Path(__file__).parent.parent
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def free_memory(device: str) -> int:
    """Bytes that can still be had on a device; of a Mac's GPU, which shares the CPU's memory, that."""
    return torch.cuda.mem_get_info()[0] if device == "cuda" else psutil.virtual_memory().available


def choose_device(asked: str) -> str:
    """`auto` to the best device here; BadInput if the one asked for is not here."""
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if known(asked, ["auto", *here], "device") == "auto":
        return next(name for name, available in here.items() if available)
    if not here[asked]:
        raise BadInput(f"--device {asked} is not available here: use --device cpu, or auto")
    return asked
