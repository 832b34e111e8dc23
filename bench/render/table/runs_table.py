"""Every run on a line of its own: the main measures, raw for sorting and written for reading."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.record import Record
from bench.render.table.budget_rows import of_scored
from bench.render.table.column import Column
from bench.render.table.comparability import machine_name
from bench.render.table.cost_rows import flops, here, images_per_second, measured, median_epoch
from bench.render.table.distance_rows import FRECHET, by_basis
from bench.render.table.quality_rows import artefacts, attributes, main_validation, variety
from bench.render.table.row import MIB, MISSING, Estimated, decimals, within
from bench.render.table.rows import last_loss, parameters, seconds_per_sample

# Of an extractor's measures, beside the Fréchet distance; the others stand in the comparison.
SHOWN_OF_DISTANCES = {"kid": "KID × 1000", "precision": "precision", "recall": "recall"}


@dataclass(frozen=True)
class Measure:
    """A column of the table of runs: its unit stands in the header, so cells are bare numbers."""

    label: str
    unit: str
    read: Callable[[Record], Any]
    write: Callable[[Any], str] = str
    better: str | None = None
    number: bool = True


@dataclass(frozen=True)
class Value:
    """A cell: what is read, and what is sorted by (empty where nothing was measured)."""

    text: str
    key: str


@dataclass(frozen=True)
class Run:
    """A line of the table, with the record that it was read from."""

    name: str
    title: str
    values: list[Value]
    json: str


@dataclass(frozen=True)
class Runs:
    """The table of runs, and the measures that no run has."""

    measures: list[Measure]
    runs: list[Run]
    unmeasured: list[str]


def scaled(read: Callable[[Record], float | None], unit: float) -> Callable[[Record], float | None]:
    """A reader of the same in a larger unit."""
    return within(read, lambda value: value / unit)


def quietly(read: Callable[[Record], float | None]) -> Callable[[Record], float | None]:
    """A reader of the same, off the record that a run's times are read from."""
    return lambda record: read(record.timed[0])


def status(record: Record) -> str:
    return record.status if record.error is None else f"{record.status}: {record.error}"


WHO = [
    Measure("contestant", "", lambda record: record.run.contestant, number=False),
    Measure("recipe", "", lambda record: record.run.recipe.name, number=False),
    Measure("seed", "", lambda record: record.run.seed),
    Measure("status", "", status, number=False),
]

MACHINE = Measure("machine", "", machine_name, number=False)

COSTS = [
    Measure("parameters", "millions", scaled(within(here, parameters), 1e6), decimals(2)),
    Measure(
        "measured peak", "MiB", scaled(within(measured, lambda peak: peak.measured_bytes), MIB), decimals(1), "lower"
    ),
    Measure("training", "GFLOP an image", scaled(flops(here, lambda f: f.training), 1e9), decimals(3), "lower"),
    Measure("epoch", "seconds", quietly(median_epoch), decimals(1), "lower"),
    Measure("training speed", "images/s", quietly(images_per_second), decimals(1), "higher"),
    Measure("sampling", "seconds a sample", quietly(seconds_per_sample), decimals(3), "lower"),
]


def mean(found: Estimated) -> float:
    return found.value


QUALITY = [
    Measure("accuracy", "macro, of 1", within(attributes, lambda a: a.macro.accuracy), decimals(3), "higher"),
    Measure("stray pixels", "%", scaled(within(artefacts(lambda a: a.stray_pixels), mean), 0.01), decimals(2), "lower"),
    Measure("colour error", "ΔE", within(artefacts(lambda a: a.colour_error), mean), decimals(2), "lower"),
    Measure("edge agreement", "F1", within(artefacts(lambda a: a.edge_agreement), mean), decimals(3), "higher"),
    Measure("hairstyles", "%", scaled(within(variety, mean), 0.01), decimals(1), "higher"),
    Measure("validation loss", "of the scored weights", main_validation(of_scored), decimals(4), "lower"),
    Measure("training loss", "last epoch", last_loss, decimals(4)),
]


def distances(records: list[Record]) -> list[Measure]:
    """Fréchet distance, KID, precision and recall of every extractor."""
    found = []
    for extractor in by_basis(records):
        name, _, unit = extractor.title.partition(" (")
        for measure, label in {FRECHET: name, **SHOWN_OF_DISTANCES}.items():
            row = extractor.rows.get(measure)
            if row is not None:
                found.append(Measure(label, unit.removesuffix(")"), row.read, row.write, row.better))
    return found


def value(measure: Measure, record: Record) -> Value:
    found = measure.read(record)
    if found is None or (isinstance(found, float) and not math.isfinite(found)):
        return Value(MISSING, "")
    return Value(measure.write(found), repr(found) if measure.number else str(found))


def runs_table(columns: list[Column]) -> Runs:
    """A line a record, in the order of the comparison's columns; a measure that no run has is only named."""
    records = [(column, record) for column in columns for record in column.records]
    asked = [*COSTS, *distances([record for _, record in records]), *QUALITY]
    has = {id(m): any(value(m, record).key for _, record in records) for m in asked}
    measures = [*WHO, *(m for m in asked if has[id(m)]), MACHINE]
    return Runs(
        measures,
        [
            Run(
                record.run.name,
                f"{column.title}, seed {record.run.seed}",
                [value(measure, record) for measure in measures],
                record.to_json(),
            )
            for column, record in records
        ],
        [f"{m.label} ({m.unit})" for m in asked if not has[id(m)]],
    )
