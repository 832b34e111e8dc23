"""The probe that chooses memory layout and precision: a few timed training steps of each."""

import functools
import itertools
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from bench.config import RunConfig
from bench.contestants import MEMORY_FORMATS
from bench.cost.steps import trial
from bench.data.dataset import AvatarSet
from bench.display import display
from bench.environment import has_bf16
from bench.errors import lacks_memory, words_of
from bench.sampling.diffusion import guided
from bench.storage import durable
from bench.storage.folder import ResultsFolder
from bench.training.batches import epoch_batches
from bench.training.trainer import Trainer, synchronise

ROUNDS = {"cpu": 2}  # a CPU is shared; elsewhere:
ONE_ROUND = 1
SECONDS, MOST_STEPS = 0.5, 10  # of steps that are timed in a trial: quick ones are repeated
LARGEST_BATCH = {"cpu": 16}  # that shows which is faster; small ones only show what starting a GPU's kernels takes
WORTH_LEAVING_FULL_PRECISION = 0.8  # of the time: a smaller gain is not worth the digits
# Of the time: two trials of one layout differ by up to a fifth on a shared CPU, and by a hundredth on a GPU.
WORTH_LEAVING_CHANNELS_LAST = {"cpu": 0.8, "cuda": 0.97, "mps": 0.9}
SEPARATOR = " · "  # of what timings are kept under


def probed_batch(config: RunConfig) -> int:
    asked = config.sizes.batch_size
    return min(asked, LARGEST_BATCH.get(config.device, asked))


def seconds_per_step(config: RunConfig, train: AvatarSet) -> float:
    """The fastest of a few training steps after one that warms up."""
    config = replace(config, sizes=replace(config.sizes, batch_size=probed_batch(config)))
    with trial(config, train) as trainer:
        return fastest_step(trainer)


def fastest_step(trainer: Trainer) -> float:
    """Seconds of the fastest of a few training steps after one that warms up."""
    device = trainer.accelerator.device
    batch = next(epoch_batches(trainer.train, trainer.config, 0)).to(device, trainer.memory_format)
    return fastest(lambda: trainer.step(batch), device)


def fastest_guided_step(trainer: Trainer) -> float:
    """Seconds of the fastest of a few predictions with guidance, of one batch, after one that warms up."""
    device, config = trainer.accelerator.device, trainer.config
    batch = next(epoch_batches(trainer.train, config, 0)).to(device, trainer.memory_format)
    ask = functools.partial(guided, trainer.raw(), batch.noise, batch.timestep, batch.condition, config.recipe.guidance)
    with torch.inference_mode():
        return fastest(ask, device)


def fastest(run: Callable[[], Tensor], device: torch.device) -> float:
    def seconds() -> float:
        synchronise(device)
        started = time.perf_counter()
        run()
        synchronise(device)
        return time.perf_counter() - started

    seconds()  # the first step prepares kernels and memory
    timed = [seconds()]
    while sum(timed) < SECONDS and len(timed) < MOST_STEPS:
        timed.append(seconds())
    return min(timed)


def probe(
    config: RunConfig, train: AvatarSet, precisions: list[str], told: Callable[[str], None] = lambda text: None
) -> dict[str, dict[str, float]]:
    """Seconds per step of a contestant for every precision and memory layout, the fastest of each.

    All take turns, so that a machine that slows down for a moment does not slow one of them alone. What a contestant
    cannot compute in is endlessly slow, and told of; raises its error if it can compute in none.
    """
    seconds = {precision: dict.fromkeys(MEMORY_FORMATS, math.inf) for precision in precisions}
    settings, refused = list(itertools.product(precisions, MEMORY_FORMATS)), dict[tuple[str, str], Exception]()
    for _, setting in itertools.product(range(ROUNDS.get(config.device, ONE_ROUND)), settings):
        precision, layout = setting
        try:
            taken = seconds_per_step(replace(config, mixed_precision=precision, memory_format=layout), train)
        except Exception as error:
            if lacks_memory(error):
                raise
            refused[setting] = error
            continue
        seconds[precision][layout] = min(taken, seconds[precision][layout])
    if len(refused) == len(settings):
        raise refused[settings[0]]
    for (precision, layout), why in refused.items():
        told(f"{config.contestant} cannot compute in {layout}, precision {precision}: {words_of(why)}")
    return seconds


def choose(probes: dict[str, dict[str, dict[str, float]]], device: str) -> tuple[str, dict[str, str]]:
    """One precision for all contestants (it must be equal), and for each the faster layout in it.

    Where they are nearly as fast it is channels_last, so that two runs on one machine choose alike.
    """

    def total(precision: str) -> float:
        chosen = [by_precision[precision] for by_precision in probes.values()]
        return sum(seconds[layout_of(seconds, device)] for seconds in chosen)

    precisions = list(next(iter(probes.values())))
    best = min(precisions, key=total)
    if "no" in precisions and total(best) > WORTH_LEAVING_FULL_PRECISION * total("no"):
        best = "no"
    return best, {name: layout_of(by_precision[best], device) for name, by_precision in probes.items()}


def layout_of(seconds: dict[str, float], device: str) -> str:
    clearly_faster = seconds["contiguous"] < WORTH_LEAVING_CHANNELS_LAST[device] * seconds["channels_last"]
    return "contiguous" if clearly_faster else "channels_last"


def precisions_for(device: str, asked: str | None) -> list[str]:
    """The precisions worth probing on a device; the one asked for, if one was."""
    if asked is not None:
        return [asked]
    return ["no", "bf16"] if has_bf16(device) else ["no"]


def as_record(probes: dict[str, dict[str, float]]) -> dict[str, float]:
    """The seconds of every setting that a contestant can compute in."""
    timed = {f"{precision}/{layout}": s for precision, layouts in probes.items() for layout, s in layouts.items()}
    return {setting: seconds for setting, seconds in timed.items() if seconds < math.inf}


@dataclass
class Probes:
    """What the probe has timed in a results folder, and the one precision that was chosen there."""

    precision: str | None = None
    seconds: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)  # `timed_as`, precision, layout

    def of(self, config: RunConfig) -> dict[str, dict[str, float]]:
        return self.seconds.get(timed_as(config), {})

    def has(self, config: RunConfig, precisions: list[str]) -> bool:
        return set(precisions) <= set(self.of(config))


def timed_as(config: RunConfig) -> str:
    """The name under which the probe keeps what it has timed: the contestant at its size, in its batches."""
    sizes = config.sizes
    return SEPARATOR.join(
        map(str, (config.contestant, sizes.image_size, sizes.scale, probed_batch(config), config.device))
    )


def read_probes(out: Path) -> Probes:
    try:
        return Probes(**json.loads(ResultsFolder(out).probe.read_text()))
    except (OSError, ValueError, TypeError):  # none yet, or damaged: timed again, and runs keep what they began with
        return Probes()


def write_probes(out: Path, probes: Probes) -> None:
    durable.write_text(ResultsFolder(out).probe, json.dumps(asdict(probes)))


def settle(out: Path, asked: str | None, drafts: list[RunConfig], train: AvatarSet) -> tuple[str, dict[str, str]]:
    """Precision for all runs, and layout for each contestant; timed once a results folder, so that a rerun agrees."""
    probes = read_probes(out)
    precisions = precisions_for(drafts[0].device, asked or probes.precision)
    missing = {d.contestant: d for d in drafts if not probes.has(d, precisions)}
    if missing:
        with display("probe") as show:
            show.phase("memory layout and precision", len(missing))
            for name, draft in missing.items():
                try:
                    probes.seconds[timed_as(draft)] = probes.of(draft) | probe(draft, train, precisions, show.say)
                except Exception as error:  # its own run will meet the same, and get its row
                    show.say(f"{name} could not be probed: {error}")
                show.advance(info=name)
    names = {draft.contestant: draft for draft in drafts}
    timed = {n: {p: probes.of(d)[p] for p in precisions} for n, d in names.items() if probes.has(d, precisions)}
    precision, layouts = choose(timed, drafts[0].device) if timed else (precisions[0], {})
    probes.precision = probes.precision or precision
    write_probes(out, probes)
    return precision, {name: layouts.get(name, "channels_last") for name in names}
