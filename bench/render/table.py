"""The comparison table: a view of records. The rows are one registry that alone knows units and rounding."""

import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table as RichTable

from bench.record import Record
from bench.render.verdict import strength, weakness

SCHEMA_VERSION = 1
MISSING = "–"
MIB = 2**20
OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW"}
SCHEDULES = {"cosine": "cosine_schedule_with_warmup", "step": "StepLR"}


@dataclass(frozen=True)
class Row:
    """A line of the table: how to read it off a record, how to write it, and what it means."""

    label: str
    read: Callable[[Record], Any]  # a number, a text, or None where it was not measured
    write: Callable[[Any], str] = str
    better: str | None = None  # "lower" or "higher"
    meaning: str = ""


@dataclass(frozen=True)
class Column:
    """One contestant under one recipe: its records, one a seed."""

    title: str
    records: list[Record]


def at(*path: str) -> Callable[[Record], Any]:
    """A reader of `measurements[path…]`; None wherever the path ends early."""

    def read(record: Record) -> Any:
        value: Any = record.measurements
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    return read


def millions(count: float) -> str:
    return f"{count / 1e6:.1f}M" if count >= 1e5 else f"{count:,.0f}"


def mib(size: float) -> str:
    return f"{size / MIB:,.2f} MiB"


def decimals(digits: int) -> Callable[[float], str]:
    return lambda value: f"{value:,.{digits}f}"


def duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 600 else f"{seconds / 60:.1f} min"


def heads(cost: str) -> Callable[[Record], str | None]:
    """The numbers of heads that the built modules have, largest level last."""

    def read(record: Record) -> str | None:
        found = at(cost, "attention")(record)
        return None if not found else "/".join(str(n) for n in sorted({a["heads"] for a in found}))

    return read


def both(small: Callable[[Record], Any], full: Callable[[Record], Any], write: Callable[[Any], str]) -> Callable:
    """A text of the value at the run's scale, and at full scale where that differs."""

    def read(record: Record) -> str | None:
        here, there = small(record), full(record)
        if here is None or there is None:
            return None
        same = record.run.sizes.scale == 1
        return write(here) if same else f"{write(here)} ({write(there)} at full scale)"

    return read


def median_epoch(record: Record) -> float | None:
    """Seconds of an epoch of training; the first, which warms up, counts only if there is no other."""
    seconds = at("training", "seconds_per_epoch")(record)
    return None if not seconds else statistics.median(seconds[1:] or seconds)


def images_per_second(record: Record) -> float | None:
    seconds = median_epoch(record)
    return None if seconds is None else at("training", "images_per_epoch")(record) / seconds


def seconds_per_sample(record: Record) -> float | None:
    sampling = at("sampling")(record)
    return None if not sampling else sampling["seconds"] / sampling["images"]


def example(record: Record) -> str | None:
    path = record.images.get("example")
    return None if path is None else f"![an avatar by {record.run.contestant}]({path})"


SOURCE_ROWS = [
    Row("number of parameters", both(at("cost", "parameters", "total"), at("full_cost", "parameters", "total"), millions)),
    Row("denoising model", lambda r: None if at("cost", "parameters", "tau")(r) is None else "Tau + Unet"),
    Row("Unet basic blocks", at("blocks")),
    Row("number of attention heads", both(heads("cost"), heads("full_cost"), str)),
    Row("training time per epoch", median_epoch, duration, "lower"),
    Row("optimizer", lambda r: OPTIMIZERS[r.run.recipe.optimisation.optimizer]),
    Row("learning rate schedule", lambda r: SCHEDULES[r.run.recipe.optimisation.schedule]),
    Row("strength", lambda r: strength(r.measurements)),
    Row("weakness", lambda r: weakness(r.measurements)),
    Row("example", example),
]  # fmt: skip

MEASURED_ROWS = [
    *(
        Row(f"{part} parameters, {where}", at(cost, "parameters", key), "{:,}".format, meaning=meaning)
        for cost, where in (("cost", "here"), ("full_cost", "full scale"))
        for part, key, meaning in (
            ("all", "total", "trainable parameters, Tau included"),
            ("Unet", "unet", "without the conditioner"),
            ("Tau", "tau", "the conditioner's share"),
        )
    ),
    *(
        Row(f"{part}, {where}", at(cost, key), mib, "lower", meaning)
        for cost, where in (("cost", "here"), ("full_cost", "full scale"))
        for part, key, meaning in (
            ("weights", "weights_bytes", "bytes of the fp32 weights"),
            ("Adam", "adam_bytes", "bytes of the optimiser's two moments"),
            ("gradients", "gradients_bytes", "bytes of the gradients"),
        )
    ),
    Row(
        "forward GFLOP per image",
        lambda r: None if (n := at("cost", "flops_per_image", "forward")(r)) is None else n / 1e9,
        decimals(3), "lower", "arithmetic of one prediction, counted and not timed",
    ),
    Row("images/s in training", images_per_second, decimals(1), "higher", "images of an epoch over its seconds"),
    Row("seconds per sample", seconds_per_sample, decimals(3), "lower", "one guided sample, all steps of the sampler"),
    Row("loss, last epoch", lambda r: (at("training", "loss_per_epoch")(r) or [None])[-1], decimals(4), None,
        "mean training loss; a lower one does not mean better images"),
    Row("Fréchet distance (EfficientNet-Lite0)", at("distance", "efficientnet-lite0", "frechet_distance"), decimals(1),
        "lower", "distance to held-out real images in EfficientNet-Lite0's features; not the usual FID"),
    Row("FID (Inception)", at("distance", "inception-v3-compat", "frechet_distance"), decimals(1), "lower",
        "the usual FID by torch-fidelity; measured only with --inception-weights"),
    Row("attribute accuracy, macro", at("attributes", "macro", "accuracy"), decimals(3), "higher",
        "share of samples that show what was asked, by a classifier; mean over attributes"),
    Row("… its ceiling (real images)", at("attributes", "macro", "ceiling"), decimals(3), None,
        "the same classifier on held-out real images"),
    Row("… its chance level", at("attributes", "macro", "chance"), decimals(3), None,
        "always answering the commonest variant"),
]  # fmt: skip

COMPARABLE = ("data_hash", "sizes", "recipe.name", "device", "preset", "mixed_precision")


def attribute_rows(records: list[Record]) -> list[Row]:
    """A row for every attribute that any record scores: accuracy, with ceiling and chance beside it."""
    names = dict.fromkeys(
        attribute["name"]
        for record in records
        for attribute in record.data.get("schema", [])
        if attribute["name"] in record.measurements.get("attributes", {}).get("per_attribute", {})
    )
    return [
        Row(f"accuracy: {name}", at("attributes", "per_attribute", name, "accuracy"), decimals(3), "higher")
        for name in names
    ]


def columns(records: list[Record]) -> list[Column]:
    """The records grouped by contestant and recipe, in the order in which they come."""
    grouped: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        grouped.setdefault((record.run.contestant, record.run.recipe.name), []).append(record)
    several = len({recipe for _, recipe in grouped}) > 1
    return [
        Column(f"{name} ({recipe})" if several else name, sorted(group, key=lambda r: r.run.seed))
        for (name, recipe), group in grouped.items()
    ]


@dataclass(frozen=True)
class Cell:
    """What stands in the table, and the numbers behind it."""

    text: str
    value: Any = None  # a mean over seeds, a text, or None
    sd: float | None = None
    seeds: int = 0


def cell(row: Row, column: Column) -> Cell:
    """Mean ± standard deviation over seeds for numbers; one seed shows no ±, and a failure says why."""
    values = [value for record in column.records if (value := row.read(record)) is not None]
    if not values:
        failed = [record.error for record in column.records if record.status == "failed"]
        return Cell(f"failed: {failed[0]}" if failed and len(failed) == len(column.records) else MISSING)
    if isinstance(values[0], str):
        return Cell(values[0], values[0], seeds=len(values))
    mean = statistics.fmean(values)
    if isinstance(values[0], int) and len(set(values)) == 1:
        return Cell(row.write(values[0]), values[0], seeds=len(values))
    if len(values) == 1:
        return Cell(row.write(mean), mean, seeds=1)
    sd = statistics.stdev(values)
    return Cell(f"{row.write(mean)} ± {row.write(sd)}", mean, sd, len(values))


@dataclass(frozen=True)
class Table:
    """The whole comparison: rows, columns, cells, and what has to be said about them."""

    rows: list[Row]
    columns: list[Column]
    legend: list[str]

    def cells(self, row: Row) -> list[Cell]:
        return [cell(row, column) for column in self.columns]

    def to_markdown(self) -> str:
        lines = [["", *(column.title for column in self.columns)], [":---", *[":---"] * len(self.columns)]]
        lines += [[row.label, *(escape(c.text) for c in self.cells(row))] for row in self.rows]
        body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return body + "\n\n" + "\n".join(f"- {line}" for line in self.legend) + "\n"

    def to_csv(self) -> str:
        frame = pd.DataFrame(
            {column.title: [cell(row, column).value for row in self.rows] for column in self.columns},
            index=pd.Index([row.label for row in self.rows], name="measure"),
        )
        return frame.to_csv()

    def to_json(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "columns": [column.title for column in self.columns],
            "rows": [
                {
                    "measure": row.label,
                    "better": row.better,
                    "values": {
                        column.title: {"value": c.value, "sd": c.sd, "seeds": c.seeds, "text": c.text}
                        for column, c in zip(self.columns, self.cells(row), strict=True)
                    },
                }
                for row in self.rows
            ],
            "legend": self.legend,
        }

    def to_rich(self) -> RichTable:
        table = RichTable("", *(column.title for column in self.columns), highlight=False)
        for row in self.rows:
            if row.label != "example":
                table.add_row(row.label, *(c.text for c in self.cells(row)))
        return table


def escape(text: str) -> str:
    return text.replace("|", "\\|")


def table(records: list[Record]) -> Table:
    """The table of a set of records."""
    rows = SOURCE_ROWS + MEASURED_ROWS + attribute_rows(records)
    return Table(rows, columns(records), legend(records))


def field_of(config: dict[str, Any], path: str) -> str:
    value: Any = config
    for key in path.split("."):
        value = value[key]
    return json.dumps(value, sort_keys=True)


def legend(records: list[Record]) -> list[str]:
    """What the numbers rest on, and a warning for every field in which records are not alike."""
    lines = []
    for path in COMPARABLE:
        if len({field_of(record.config, path) for record in records}) > 1:
            lines.append(f"**Not comparable throughout:** the records differ in `{path}`.")
    first = next((record for record in records if record.status == "done"), records[0])
    run, sizes = first.run, first.run.sizes
    seeds = ", ".join(str(seed) for seed in sorted({record.run.seed for record in records}))
    versions = first.environment.get("versions", {})
    lines.append(
        f"Preset {run.preset}, recipe {run.recipe.name}, seed {seeds}: {sizes.image_size}×{sizes.image_size}, "
        f"scale {sizes.scale:g} of the published channels, {sizes.epochs} epochs of "
        f"{at('training', 'images_per_epoch')(first) or MISSING} images in batches of {sizes.batch_size}."
    )
    lines.append(
        f"Data: {run.data}, {first.data.get('images', MISSING)} images, {first.data.get('held_out', MISSING)} held out, "
        f"{first.data.get('leaked', MISSING)} of them also in training; content {run.data_hash[:12]}."
    )
    distance = first.measurements.get("distance", {}).get("efficientnet-lite0", {})
    lines.append(
        f"Scored on {sizes.samples} samples, {run.recipe.sampler.upper()} in {run.recipe.sampling_steps} steps, guidance "
        f"{run.recipe.guidance:g}. Fréchet distance: {distance.get('generated', MISSING)} generated against "
        f"{distance.get('real', MISSING)} held-out real images"
        + (
            " (fewer than 2048: rank-deficient, compare only within this table)."
            if distance.get("rank_deficient")
            else "."
        )
    )
    lines.append(
        "Strength and weakness: the best and worst attributes, as the share of the way from chance to the judge's "
        'ceiling that the samples go. MiB are 2^20 bytes; "full scale" is the published size with a condition 217 wide.'
    )
    lines.append(
        f"{first.environment.get('device', MISSING)}, {first.environment.get('threads', MISSING)} threads, precision "
        f"{run.mixed_precision}; "
        + ", ".join(f"{name} {number}" for name, number in versions.items())
        + f"; commit {first.environment.get('commit') or MISSING}."
    )
    lines.append(f"Made by `{first.command}`. {MISSING} means not measured.")
    return lines


def write_table(out: Path, records: list[Record]) -> Table:
    """Draw `table.md` of a results folder from its records."""
    from bench import durable

    made = table(records)
    durable.write_text(out / "table.md", made.to_markdown())
    return made
