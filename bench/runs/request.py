"""What the user asked of `bench run`, and everything that can be refused before work is done."""

import functools
import math
import shutil
import sys
from collections.abc import Callable, Container
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from bench import contestants
from bench.config import RunConfig, Sizes, recipe_for
from bench.cost.account import Setting, account, setting_of
from bench.cost.match import Kind, matching_scales
from bench.environment import choose_device, free_memory
from bench.errors import BadContestant, BadInput, NoRoom
from bench.quality.features import (
    EFFICIENTNET,
    INCEPTION,
    extractor_named,
)
from bench.quality.inception import (
    DOWNLOADED,
    cached_inception_weights,
    check_inception_weights,
    download_inception_weights,
)
from bench.runs.machines import Machines
from bench.sampling.diffusion import wrong_steps
from bench.storage import durable
from bench.storage.checkpoint import COPIES, KEPT
from bench.storage.folder import ResultsFolder
from bench.storage.records import read_records
from bench.training.tracking import check_trackers

MARGIN = 0.1  # of the predicted peak: workspaces of kernels, and what an allocator leaves unused
LIBRARIES = 2**29  # bytes that Python, torch and its libraries hold in each process

AMPLE_PER_PIXEL = 2**19  # bytes of activations a pixel of a batch; the most that one of ours saves is 184 KiB


@dataclass(frozen=True)
class RunRequest:
    """What the user asked of `bench run`."""

    preset: str
    sizes: Sizes
    contestants: list[str]
    recipe: str
    seeds: list[int]
    data: str
    out: Path
    cache: Path
    device: str
    mixed_precision: str | None  # None: the probe chooses
    inception_weights: Path | None
    extractors: list[str]  # the user's own, as `module:EXTRACTOR`
    skip_bad: bool
    fresh: bool
    command: str
    only_missing: bool = False  # records that this configuration and this code have made stand for their runs
    processes: int = 1  # that train each contestant together
    others: Machines | None = None  # that have their part of these processes
    checkpoint_seconds: float | None = None  # None: the default interval
    report_to: list[str] = field(default_factory=list)  # trackers to tell of training
    learning_rates: dict[str, float] = field(default_factory=dict)  # by contestant, where it is not the sizes' own
    scales: dict[str, float] = field(default_factory=dict)  # the same of scales
    match: Kind | None = None  # in what all contestants are to cost as much as the first one: this decides the scales

    @property
    def machines(self) -> int:
        return self.others.count if self.others else 1

    def sizes_for(self, contestant: str) -> Sizes:
        """The sizes with the contestant's own learning rate and scale, where one was found for it."""
        rate = self.learning_rates.get(contestant, self.sizes.learning_rate)
        return replace(self.sizes, learning_rate=rate, scale=self.scales.get(contestant, self.sizes.scale))

    def matched(self, condition_width: int, unfit: Container[str]) -> "RunRequest":
        """The same with the scales at which all contestants cost as much as the first one, if that is asked.

        Of another scale than the sizes' a contestant has the sizes' learning rate: none was found for it.
        """
        if self.match is None:
            return self
        sizes, fit = self.sizes, [name for name in self.contestants if name not in unfit]
        setting = Setting(condition_width, sizes.image_size, sizes.scale, sizes.batch_size)
        found = matching_scales(fit, self.match, setting)
        for name, (scale, times) in found.items():
            print(f"{name}: scale {scale:g}, {times:.2f} times the {self.match} of {fit[0]}", file=sys.stderr)
        scales = {name: scale for name, (scale, _) in found.items()}
        rates = {name: rate for name, rate in self.learning_rates.items() if scales.get(name) == sizes.scale}
        return replace(self, scales=scales, learning_rates=rates)


def preflight(request: RunRequest) -> tuple[str, dict[str, str]]:
    """The device to run on, and why a contestant cannot take part, by its name.

    BadInput with everything that can be refused before work is done, all of it at once.
    """
    problems: list[str] = []
    devices: list[str] = []
    unfit: dict[str, str] = {}

    def attempt(check: Callable[[], Any]) -> None:
        try:
            check()
        except BadContestant:
            raise
        except BadInput as error:
            problems.append(str(error))

    attempt(lambda: devices.append(choose_device(request.device)))
    problems += [*wrong_sizes(request), *wrong_together(request, "".join(devices))]
    for name in request.contestants:
        attempt(functools.partial(recipe_for, request.recipe, name))
        try:
            attempt(functools.partial(contestants.check, name, request.sizes.image_size, request.sizes.scale))
        except BadContestant as error:
            unfit[name] = str(error)
    if len(unfit) == len(request.contestants):  # nothing is left to run
        problems += unfit.values()
    attempt(lambda: check_weights(request.inception_weights))
    attempt(lambda: check_extractors(request))
    attempt(lambda: check_trackers(request.report_to))
    for folder in (request.out, request.cache):
        attempt(functools.partial(durable.check_writable, folder))
    if ResultsFolder(request.out).record_files():
        attempt(lambda: read_records(request.out))  # a damaged one would spoil the table at the end
    if problems:
        raise BadInput("; ".join(problems))
    return devices[0], unfit


def check_weights(weights: Path | None) -> None:
    """Download Inception's weights, or look at the file that was named."""
    if weights == DOWNLOADED:
        download_inception_weights()
    elif weights is not None:
        check_inception_weights(weights)


def wrong_together(request: RunRequest, device: str) -> list[str]:
    """Which options contradict each other, or the device."""
    found, gpus = [], torch.cuda.device_count()
    if device in ("cuda", "mps") and request.processes // request.machines > max(1, gpus):
        found.append(f"--processes {request.processes // request.machines} needs as many GPUs: there are {gpus}")
    if request.mixed_precision == "fp16" and device == "cpu":
        found.append("--mixed-precision fp16 needs a GPU: use bf16 or no")
    if request.fresh and request.only_missing:
        found.append("--fresh and --only-missing contradict each other: pass one of them")
    return found


def wrong_sizes(request: RunRequest) -> list[str]:
    """What is wrong with the sizes asked for, whatever the contestant."""
    sizes, found = request.sizes, []
    for name in ("samples", "curve_samples", "sweep_samples"):
        if getattr(sizes, name) < 2:
            found.append(f"--{name.replace('_', '-')} 1 cannot be scored: at least 2")
    recipe = recipe_for(request.recipe, "scratch")  # of which every recipe says something
    if told := wrong_steps(sizes.sampling_steps or recipe.sampling_steps, recipe.timesteps):
        found.append(f"--sampling-steps: {told}")
    if sizes.images < 20:
        found.append(f"--images {sizes.images} is too few: at least 20, of which a third is for validation and test")
    if len(sizes.budgets) > 1 and recipe.optimisation.schedule != "decay":
        found.append(
            f"--recipe {request.recipe} finishes its schedule once: give it one --budget, and an --out for each"
        )
    if sizes.batch_size % request.processes:
        found.append(
            f"--batch-size {sizes.batch_size} is no multiple of {request.processes} processes, and the batch is split "
            "across them"
        )
    return found


def check_extractors(request: RunRequest) -> None:
    if extractors(request).get(INCEPTION, "") is None:
        raise BadInput(f"--extractors {INCEPTION} needs its weights: name them by --inception-weights")


def check_space(out: Path, configs: list[RunConfig], condition_width: int) -> None:
    """NoRoom unless the disk has room for the checkpoints of all runs, and of one more while it is written."""
    sizes = {config: checkpoint_bytes(config, condition_width) for config in configs}
    wanted = {config: KEPT * size * (1 + (len(config.sizes.budgets) > 1)) for config, size in sizes.items()}  # + trunk
    there = {config: min(kept_bytes(out, config), size) for config, size in wanted.items()}
    needed = sum(wanted.values()) - sum(there.values()) + max(sizes.values(), default=0)
    free = shutil.disk_usage(out).free
    if needed > free:
        raise NoRoom(
            f"'{out}' has {free / 2**30:.1f} GiB free, and the checkpoints need {needed / 2**30:.1f} GiB: make room, "
            "or use another --out"
        )


def check_memory(configs: list[RunConfig], condition_width: int, precisions: list[str], machines: int = 1) -> None:
    """NoRoom, naming the first, unless a training step of each contestant fits into the memory that is free.

    The run may choose any of `precisions`, so it is enough if the step fits in one of them. Each of `machines` has its
    part of the processes.
    """
    for config in {config.contestant: config for config in configs}.values():  # a seed needs what another does
        free, needed = free_memory(config.device), math.inf
        if ample(config, condition_width) <= free:
            continue
        for precision in precisions:
            needed = min(needed, memory_needed(config, condition_width, precision, machines))
            if needed <= free:
                break
        else:
            raise NoRoom(
                f"{config.contestant} needs about {needed / 2**30:.1f} GiB of memory for a training step, and "
                f"{free / 2**30:.1f} GiB are free: lower --batch-size or --scale"
            )


def ample(config: RunConfig, condition_width: int) -> float:
    """Bytes that are far more than a step needs, known at once: an account takes seconds."""
    pixels = config.sizes.batch_size * config.sizes.image_size**2
    return 8 * checkpoint_bytes(config, condition_width) + AMPLE_PER_PIXEL * pixels


def memory_needed(config: RunConfig, condition_width: int, precision: str, machines: int = 1) -> float:
    """Bytes that training needs of one device, with a margin: the predicted peak, or what surely is kept."""
    setting = setting_of(replace(config, mixed_precision=precision), condition_width)
    setting = replace(setting, batch_size=setting.batch_size // config.processes)
    cost = account(config.contestant, setting, config.recipe)
    kept = sum(cost[f"{kind}_bytes"] for kind in ("weights", "adam", "gradients", "ema"))
    peak = cost["predicted_peak"]["bytes"] if cost["predicted_peak"] else kept
    sharing = 1 if config.device == "cuda" else config.processes // machines
    return sharing * (peak * (1 + MARGIN) + LIBRARIES)


def kept_bytes(out: Path, config: RunConfig) -> int:
    """What a run's checkpoints take already."""
    run = ResultsFolder(out).run(config.name)
    return sum(file.stat().st_size for folder in (run.checkpoints, run.trunk) for file in folder.rglob("*.*"))


def checkpoint_bytes(config: RunConfig, condition_width: int) -> int:
    sizes = config.sizes
    model = contestants.build_on_meta(config.contestant, condition_width, sizes.image_size, sizes.scale)
    return COPIES * sum(parameter.nbytes for parameter in model.parameters())


def extractors(request: RunRequest) -> dict[str, str | None]:
    """EfficientNet-Lite0, Inception where its weights are to be had, and the user's own."""
    found: dict[str, str | None] = {EFFICIENTNET: None}
    asked = request.inception_weights
    weights = cached_inception_weights() if asked in (None, DOWNLOADED) else asked
    if weights is not None:
        found[INCEPTION] = str(weights)
    for text in request.extractors:
        extractor_named(text)  # refuses what is not registered
    return dict.fromkeys(request.extractors) | found


def asked_distances(request: RunRequest) -> set[str]:
    """The extractors whose distances the user has asked for by name."""
    asked = {extractor_named(text) for text in request.extractors}
    return asked | ({INCEPTION} if request.inception_weights is not None else set())
