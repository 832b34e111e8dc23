"""Every run on a line of its own: the main measures, raw for sorting and written for reading."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.record import Record
from bench.render.table.column import Column
from bench.render.table.comparability import machine_name
from bench.render.table.cost_rows import images_per_second, median_epoch
from bench.render.table.distance_rows import distance_rows
from bench.render.table.quality_rows import last_validation
from bench.render.table.row import MIB, MISSING, at, decimals
from bench.render.table.rows import seconds_per_sample

SHOWN_OF_DISTANCES = ("… KID", "… precision", "… recall")  # the others stand in the comparison


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

    def in_unit(record: Record) -> float | None:
        value = read(record)
        return None if value is None else value / unit

    return in_unit


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
    Measure("parameters", "millions", scaled(at("cost", "parameters", "total"), 1e6), decimals(2)),
    Measure("measured peak", "MiB", scaled(at("peak_memory", "measured_bytes"), MIB), decimals(1), "lower"),
    Measure("training", "GFLOP an image", scaled(at("cost", "flops_per_image", "training"), 1e9), decimals(3), "lower"),
    Measure("epoch", "seconds", median_epoch, decimals(1), "lower"),
    Measure("training speed", "images/s", images_per_second, decimals(1), "higher"),
    Measure("sampling", "seconds a sample", seconds_per_sample, decimals(3), "lower"),
]

QUALITY = [
    Measure("accuracy", "macro, of 1", at("attributes", "macro", "accuracy"), decimals(3), "higher"),
    Measure("stray pixels", "%", scaled(at("artefacts", "stray_pixels", "value"), 0.01), decimals(2), "lower"),
    Measure("colour error", "ΔE", at("artefacts", "colour_error", "value"), decimals(2), "lower"),
    Measure("edge agreement", "F1", at("artefacts", "edge_agreement", "value"), decimals(3), "higher"),
    Measure("hairstyles", "%", scaled(at("attributes", "hairstyle", "value"), 0.01), decimals(1), "higher"),
    Measure("validation loss", "averaged weights", last_validation("averaged"), decimals(4), "lower"),
    Measure("training loss", "last epoch", lambda r: (at("training", "loss_per_epoch")(r) or [None])[-1], decimals(4)),
]


def distances(records: list[Record]) -> list[Measure]:
    """Fréchet distance, KID, precision and recall of every extractor."""
    found, extractor = [], ""
    for row in distance_rows(records):
        if not row.label.startswith("…"):
            name, _, extractor = row.label.partition(" (")
            extractor = extractor.removesuffix(")")
            found.append(Measure(name, extractor, row.read, row.write, row.better))
        elif row.label.startswith(SHOWN_OF_DISTANCES):
            found.append(Measure(row.label.removeprefix("… "), extractor, row.read, row.write, row.better))
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
