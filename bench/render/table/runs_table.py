"""Every run on a line of its own: the main measures, raw for sorting and written for reading."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.record import Record
from bench.render.table.asked_rows import exact, paired
from bench.render.table.budget_rows import of_scored
from bench.render.table.column import Column
from bench.render.table.comparability import machine_name
from bench.render.table.cost_rows import cost_here, flops, images_per_second, measured, median_epoch
from bench.render.table.distance_rows import FRECHET, by_basis, features_of
from bench.render.table.measures import value_of
from bench.render.table.quality_rows import artefacts, attributes, main_validation, variety
from bench.render.table.row import MIB, MISSING, decimals, within
from bench.render.table.rows import last_loss, parameters, seconds_per_sample

# Of an extractor's measures, beside the Fréchet distance; the others stand in the comparison.
SHOWN_OF_DISTANCES = {"kid": "KID × 1000", "precision": "precision", "recall": "recall"}


@dataclass(frozen=True)
class RunColumn:
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

    measures: list[RunColumn]
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
    RunColumn("contestant", "", lambda record: record.run.contestant, number=False),
    RunColumn("recipe", "", lambda record: record.run.recipe.name, number=False),
    RunColumn("seed", "", lambda record: record.run.seed),
    RunColumn("status", "", status, number=False),
]

MACHINE = RunColumn("machine", "", machine_name, number=False)

COSTS = [
    RunColumn("parameters", "millions", scaled(within(cost_here, parameters), 1e6), decimals(2)),
    RunColumn(
        "measured peak", "MiB", scaled(within(measured, lambda peak: peak.measured_bytes), MIB), decimals(1), "lower"
    ),
    RunColumn("training", "GFLOP an image", scaled(flops(cost_here, lambda f: f.training), 1e9), decimals(3), "lower"),
    RunColumn("epoch", "seconds", quietly(median_epoch), decimals(1), "lower"),
    RunColumn("training speed", "images/s", quietly(images_per_second), decimals(1), "higher"),
    RunColumn("sampling", "seconds a sample", quietly(seconds_per_sample), decimals(3), "lower"),
]


QUALITY = [
    RunColumn("colour difference", "ΔE to the true picture", value_of(within(paired, lambda p: p.colour)),
              decimals(2), "lower"),
    RunColumn("structure", "SSIM", value_of(within(paired, lambda p: p.structure)), decimals(3), "higher"),
    RunColumn("all right", "%", scaled(value_of(within(exact, lambda e: e.all_right)), 0.01), decimals(1), "higher"),
    RunColumn("accuracy, exact", "macro, of 1", value_of(within(exact, lambda e: e.macro)), decimals(3), "higher"),
    RunColumn("accuracy, classifier", "macro, of 1", within(attributes, lambda a: a.macro.accuracy), decimals(3),
              "higher"),
    RunColumn("stray pixels", "%", scaled(value_of(artefacts(lambda a: a.stray_pixels)), 0.01), decimals(2), "lower"),
    RunColumn("colour error", "ΔE to the colour asked for", value_of(artefacts(lambda a: a.colour_error)),
              decimals(2), "lower"),
    RunColumn("edge agreement", "F1", value_of(artefacts(lambda a: a.edge_agreement)), decimals(3), "higher"),
    RunColumn("hairstyles", "%", scaled(value_of(variety), 0.01), decimals(1), "higher"),
    RunColumn("validation loss", "of the scored weights", main_validation(of_scored), decimals(4), "lower"),
    RunColumn("training loss", "last epoch", last_loss, decimals(4)),
]  # fmt: skip


def distances(records: list[Record]) -> list[RunColumn]:
    """Fréchet distance, KID, precision and recall of every extractor."""
    found = []
    for extractor in by_basis(records):
        name, unit = extractor.title.partition(" (")[0], features_of(extractor.title)
        for measure, label in {FRECHET: name, **SHOWN_OF_DISTANCES}.items():
            row = extractor.rows.get(measure)
            if row is not None:
                found.append(RunColumn(label, unit, row.read, row.write, row.better))
    return found


def value(measure: RunColumn, record: Record) -> Value:
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
