"""The rows of the comparison table: one registry that alone knows units and rounding."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.record import Record
from bench.render.verdict import strength, weakness

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
    unit: str | None = None  # of the raw value, as CSV and JSON give it


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
        if here is None:
            return None
        alone = there is None or record.run.sizes.scale == 1
        return write(here) if alone else f"{write(here)} ({write(there)} at full scale)"

    return read


def median_epoch(record: Record) -> float | None:
    """Seconds of an epoch of training; one that warms up, first or after a resume, counts only if no other is there."""
    seconds = at("training", "seconds_per_epoch")(record)
    if not seconds:
        return None
    cold = {0, *(at("training", "resumed_at_epochs")(record) or [])}
    return statistics.median([s for epoch, s in enumerate(seconds) if epoch not in cold] or seconds)


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
    Row(
        "number of parameters",
        both(at("cost", "parameters", "total"), at("full_cost", "parameters", "total"), millions),
    ),
    Row("denoising model", lambda r: None if at("cost", "parameters", "tau")(r) is None else "Tau + Unet"),
    Row("Unet basic blocks", at("blocks")),
    Row("number of attention heads", both(heads("cost"), heads("full_cost"), str)),
    Row("training time per epoch", median_epoch, duration, "lower", unit="seconds"),
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
        Row(f"{part}, {where}", at(cost, key), mib, "lower", meaning, "bytes")
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


def attribute_rows(records: list[Record]) -> list[Row]:
    """A row for every attribute that any record scores: accuracy, with its ceiling and chance level in the label."""
    names = dict.fromkeys(
        attribute["name"]
        for record in records
        for attribute in record.data.get("schema", [])
        if attribute["name"] in record.measurements.get("attributes", {}).get("per_attribute", {})
    )
    return [
        Row(
            f"accuracy: {name}{bounds(records, name)}",
            at("attributes", "per_attribute", name, "accuracy"),
            decimals(3),
            "higher",
            "share of samples that show what was asked of this attribute, where it can be seen",
        )
        for name in names
    ]


def bounds(records: list[Record], name: str) -> str:
    """` (ceiling 0.97, chance 0.03)`: one judge and one data set have one of each; else nothing."""
    found = set()
    for record in records:
        row = at("attributes", "per_attribute", name)(record)
        if row and row["ceiling"] is not None and row["chance"] is not None:
            found.add((row["ceiling"], row["chance"]))
    return f" (ceiling {(b := found.pop())[0]:.3f}, chance {b[1]:.3f})" if len(found) == 1 else ""
