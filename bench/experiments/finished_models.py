"""The finished models of runs of several sizes and budgets: what training each took, and its ΔE."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace

import numpy as np

from bench.config import RunConfig, differences
from bench.errors import BadInput
from bench.quality.power_law import PowerLaw, fitted, frontier
from bench.record import CurvePoint, Record
from bench.render.table.cost_rows import training_seconds

SAME = 1.02  # times as many images: budgets may end that near to each other, and count once
Cost = Callable[[Record, CurvePoint], float | None]
COSTS: dict[str, Cost] = {
    "PFLOP": lambda _, point: None if point.training_flop is None else point.training_flop / 1e15,
    "seconds": training_seconds,
}
Cell = tuple[float, int]  # the scale of a model, and the images that it has seen
Values = dict[int, tuple[float, float]]  # by seed: what its training took, and its ΔE


@dataclass(frozen=True)
class Models:
    """The finished models of one contestant that all shared seeds have."""

    name: str
    cells: dict[Cell, Values]

    def means(self, seeds: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Mean cost and mean ΔE of every cell over these seeds, of which one may come more than once."""
        values = np.array([[values[seed] for seed in seeds] for values in self.cells.values()])  # (cells, seeds, 2)
        x, y = values.mean(axis=1).T if len(values) else np.empty((2, 0))
        return x, y

    def law(self, seeds: list[int]) -> PowerLaw | None:
        """The law through the frontier of the means; None where that has too few models."""
        x, y = self.means(seeds)
        kept = frontier(x, y)
        return fitted(x[kept], y[kept])


def refuse_mixed(records: list[Record]) -> None:
    """BadInput unless the runs differ in contestant, seed, size, budgets and learning rate alone, each run once, and at
    one learning rate for each size of a contestant.
    """
    if not records:
        raise BadInput("there is no finished run: name folders that have some")
    for record in records[1:]:
        if unlike := differences(asdict(compared(records[0].run)), asdict(compared(record.run))):
            told = f"{records[0].run.name} and {record.run.name} differ in {'; '.join(unlike)}"
            raise BadInput(f"{told}: name runs of one comparison")
    rates: dict[tuple[str, float], float] = {}
    for run in (record.run for record in records):
        rate = rates.setdefault((run.contestant, run.sizes.scale), run.sizes.learning_rate)
        if rate != run.sizes.learning_rate:
            both = f"{rate:g} and at {run.sizes.learning_rate:g}"
            raise BadInput(f"{run.contestant} at scale {run.sizes.scale:g} is there at learning rates {both}: name one")


def compared(run: RunConfig) -> RunConfig:
    """A run's configuration without what may differ."""
    sizes = replace(run.sizes, scale=0.0, learning_rate=0.0, budgets=(), epochs=0)
    return replace(run, contestant="", seed=0, memory_format="", budget_steps=(), sizes=sizes)


def shared_seeds(records: list[Record]) -> list[int]:
    """The seeds that every contestant has at every size; BadInput if there are none."""
    there: dict[tuple[str, float], set[int]] = {}
    for run in (record.run for record in records):
        there.setdefault((run.contestant, run.sizes.scale), set()).add(run.seed)
    if not (shared := set.intersection(*there.values())):
        raise BadInput("no seed was run with every contestant at every size: run what is missing")
    return sorted(shared)


def measured(records: Iterable[Record], cost: Cost, seeds: list[int]) -> list[Models]:
    """Every contestant's finished models of which all seeds are there; BadInput for one that is there twice."""
    found: dict[str, dict[Cell, Values]] = {}
    for record in records:
        cells = found.setdefault(record.run.contestant, {})
        for point in apart(record.measurements.curve or []):
            x = cost(record, point)
            if x is None or point.paired is None or point.paired.colour is None:
                continue
            values = cells.setdefault((record.run.sizes.scale, point.images), {})
            if record.run.seed in values:
                raise BadInput(f"{record.run.name} is there twice after {point.images} images: name one of the folders")
            values[record.run.seed] = (x, point.paired.colour.value)
    complete = {name: {cell: v for cell, v in cells.items() if {*seeds} <= v.keys()} for name, cells in found.items()}
    return [Models(name, cells) for name, cells in complete.items()]


def apart(curve: list[CurvePoint]) -> list[CurvePoint]:
    """The finished models of a run, without those that have seen almost as many images as the one before."""
    kept: list[CurvePoint] = []
    for point in sorted(curve, key=lambda each: each.images):
        if point.steps is not None and not (kept and point.images < SAME * kept[-1].images):
            kept.append(point)
    return kept
