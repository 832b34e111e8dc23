"""What the harness costs: its training steps against a bare loop's, one of each in turn."""

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers.training_utils import EMAModel
from scipy.stats import quantile_test
from torch import Tensor

from bench import contestants
from bench.config import MATCHED, PRESETS, RunConfig
from bench.contestants import MEMORY_FORMATS
from bench.cost.steps import WARM_UP, time_steps, trial
from bench.data.dataset import AvatarSet
from bench.data.library import DataRequest, cache_path, load
from bench.sampling.diffusion import noise_schedule, training_loss
from bench.training.batches import epoch_batches, steps_per_epoch
from bench.training.budgets import ends, shortest
from bench.training.optimisation import OPTIMIZERS, learning_rate_schedule
from bench.training.trainer import Trainer, synchronise

SCHEMA_VERSION = 1
FEW, MANY = 1_000, 100_000  # images in the set
Step = Callable[[], Any]


def overhead(preset: str, contestant: str, rounds: int, steps: int, device: str, cache: Path) -> dict[str, Any]:
    """The document of `bench overhead`: ratios of seconds with their 95 % intervals and goals."""
    sizes = PRESETS[preset]
    request = DataRequest("avataaars", FEW, sizes.image_size)
    few = load(request, cache_path(request, cache))
    config = RunConfig(
        contestant, 0, preset, MATCHED, sizes, few.source, few.content_hash, device, "no", "channels_last"
    )
    doubled = replace(config, sizes=replace(sizes, batch_size=2 * sizes.batch_size))
    with trial(config, few) as ours, trial(doubled, few) as twice:
        data = time_steps(ours)
        noise = ratio(bare(config, few), bare(config, few), rounds, steps, device)
        against_bare = ratio(harness(ours), bare(config, few), rounds, steps, device)
        double_batch = ratio(harness(twice), harness(ours), rounds, steps, device)
        many = few.subset(torch.arange(MANY) % FEW)  # a step's cost, not what it learns, is asked
        with trial(config, many) as larger:
            more_images = ratio(harness(larger), harness(ours), rounds, steps, device)
    waits = [wait / total for wait, total in zip(data["data"], data["total"], strict=True)]
    return {
        "schema_version": SCHEMA_VERSION,
        "preset": preset,
        "contestant": contestant,
        "device": device,
        "threads": torch.get_num_threads(),
        "rounds": rounds,
        "steps_per_round": steps,
        "batch_size": sizes.batch_size,
        "bare_over_bare": noise,  # what a ratio of two equals comes out as here
        "harness_over_bare": against_bare | {"goal": 1.03},
        "data_share_of_step": {"median": statistics.median(waits), "goal": 0.01},
        "double_batch": double_batch | {"goal": 2.05},
        "100000_over_1000_images": more_images | {"goal": 1.02},
    }


def harness(trainer: Trainer) -> Step:
    """One step as the harness trains, data and all, whenever it is called."""
    steps: Iterator[Tensor] = itertools.chain.from_iterable(trainer.steps() for _ in itertools.count())
    return lambda: next(steps)


def bare(config: RunConfig, train: AvatarSet) -> Step:
    """One step as a loop of a few lines would do it: the recipe's work on batches that lie ready, nothing else."""
    layout, plan = MEMORY_FORMATS[config.memory_format], config.recipe.optimisation
    sizes, device = config.sizes, torch.device(config.device)
    torch.set_float32_matmul_precision("high")  # as in the harness
    denoiser = contestants.build(config.contestant, train.schema.width, sizes.image_size, sizes.scale, config.seed)
    denoiser = denoiser.to(device).to(memory_format=layout).train()
    optimizer = OPTIMIZERS[plan.optimizer](
        denoiser.parameters(), lr=sizes.learning_rate, weight_decay=plan.weight_decay, fused=True
    )
    last, first = ends(config, len(train))[-1], shortest(config, len(train))
    lr_schedule = learning_rate_schedule(optimizer, plan, steps_per_epoch(len(train), config), last, first)
    parameters, decay = list(denoiser.parameters()), config.recipe.ema_decay
    average = None if decay is None else EMAModel(parameters, decay=decay, foreach=True)
    schedule = noise_schedule(config.recipe)
    ready = itertools.cycle([b.to(device, layout) for b in itertools.islice(epoch_batches(train, config, 0), 8)])

    def step() -> None:
        batch = next(ready)
        loss = training_loss(denoiser, schedule, batch.images, batch.condition, batch.noise, batch.timestep)
        loss.backward()
        if plan.largest_gradient is not None:
            torch.nn.utils.clip_grad_norm_(parameters, plan.largest_gradient)
        optimizer.step()
        optimizer.zero_grad()
        lr_schedule.step()
        if average is not None:
            average.step(parameters)

    return step


def ratio(first: Step, second: Step, rounds: int, steps: int, device: str) -> dict[str, Any]:
    """Seconds of the first step over the second's, taken in turn: each round's medians, their median and interval."""
    for _ in range(WARM_UP):
        first(), second()
    ratios = []
    for _ in range(rounds):
        seconds: dict[Step, list[float]] = {first: [], second: []}
        for number in range(steps):
            for step in (first, second) if number % 2 else (second, first):  # neither always comes after the other
                seconds[step].append(seconds_of(step, device))
        ratios.append(statistics.median(seconds[first]) / statistics.median(seconds[second]))
    return median_and_interval(ratios)


def median_and_interval(ratios: list[float]) -> dict[str, Any]:
    """A sample's median, and the 95 % interval of its distribution's median, whatever the distribution."""
    interval = quantile_test(ratios).confidence_interval(0.95)
    return {
        "median": statistics.median(ratios),
        "low": float(interval.low),
        "high": float(interval.high),
        "ratios": ratios,
    }


def seconds_of(step: Step, device: str) -> float:
    synchronise(torch.device(device))
    started = time.perf_counter()
    step()
    synchronise(torch.device(device))
    return time.perf_counter() - started
