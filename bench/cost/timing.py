"""A training step by its parts, each waited for, on a trainer of its own."""

import itertools
import time
from collections import defaultdict

import torch
from torch import Tensor

from bench.cost.terms import PARTS
from bench.training.trainer import Trainer, synchronise

WARM_UP = 3
FEWEST, MOST, ENOUGH_SECONDS = 5, 20, 3.0


class Laps:
    """Seconds of every part of every step; the device is waited for at the end of each."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.steps: list[dict[str, float]] = []
        self.current: dict[str, float] = defaultdict(float)
        self.last = self.now()

    def now(self) -> float:
        synchronise(self.device)
        return time.perf_counter()

    def __call__(self, part: str) -> None:
        now = self.now()
        self.current[part] += now - self.last
        self.last = now

    def end_step(self) -> None:
        self("else")
        self.steps.append(self.current)
        self.current = defaultdict(float)


def time_steps(trainer: Trainer) -> dict[str, list[float]]:
    """Seconds of each part of a few steps after some that warm up, and of each step in all."""
    laps = Laps(trainer.accelerator.device)
    began = 0.0
    for done, _ in enumerate(endless(trainer, laps), start=1 - WARM_UP):
        laps.end_step()
        if done == 0:
            began = time.perf_counter()
        if done >= MOST or (done >= FEWEST and time.perf_counter() - began > ENOUGH_SECONDS):
            break
    timed = laps.steps[WARM_UP:]
    seconds: dict[str, list[float]] = {part: [step[part] for step in timed] for part in PARTS}
    return {"total": [sum(step.values()) for step in timed], **seconds}


def endless(trainer: Trainer, laps: Laps) -> itertools.chain[Tensor]:
    """Steps without end, over the same epoch again and again."""
    return itertools.chain.from_iterable(trainer.steps(laps) for _ in itertools.count())
