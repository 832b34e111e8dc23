"""The rows of the comparison table: one registry that alone knows units and rounding."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.record import Record
from bench.render.markdown import image
from bench.render.table.column import Column
from bench.render.table.cost_rows import MEMORY_ROWS, SPEED_ROWS, median_epoch
from bench.render.table.quality_rows import quality_rows
from bench.render.table.row import Row, at, both, decimals, duration, millions
from bench.render.table.verdict import verdict_rows

OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW"}
SCHEDULES = {"cosine": "cosine_schedule_with_warmup", "step": "StepLR"}


def heads(cost: str) -> Callable[[Record], str | None]:
    """The numbers of heads that the built modules have, largest level last."""

    def read(record: Record) -> str | None:
        found = at(cost, "attention")(record)
        return None if not found else "/".join(str(n) for n in sorted({a["heads"] for a in found}))

    return read


def seconds_per_sample(record: Record) -> float | None:
    sampling = at("sampling")(record)
    return None if not sampling else sampling["seconds"] / sampling["images"]


def example(record: Record) -> str | None:
    path = record.images.get("example")
    return None if path is None else image(f"an avatar by {record.run.contestant}", path)


POST_ROWS = [
    Row(
        "number of parameters",
        both(at("cost", "parameters", "total"), at("full_cost", "parameters", "total"), millions),
    ),
    Row("denoising model", lambda r: None if at("cost", "parameters", "tau")(r) is None else "Tau + Unet"),
    Row("Unet basic blocks", at("blocks")),
    Row("number of attention heads", both(heads("cost"), heads("full_cost"), str)),
    Row("training time per epoch", median_epoch, duration, "lower", unit="seconds", rests_on="time"),
    Row("optimizer", lambda r: OPTIMIZERS[r.run.recipe.optimisation.optimizer]),
    Row("learning rate schedule", lambda r: SCHEDULES[r.run.recipe.optimisation.schedule]),
]  # fmt: skip

TRAINED_ROWS = [
    Row("seconds per sample", seconds_per_sample, decimals(3), "lower", "one guided sample, all steps of the sampler",
        rests_on="time", headline=True),
    Row("training loss, last epoch", lambda r: (at("training", "loss_per_epoch")(r) or [None])[-1], decimals(4), None,
        "its timesteps and noise are drawn at random: the validation loss compares better"),
]  # fmt: skip


@dataclass(frozen=True)
class Section:
    """Rows of the table that belong together."""

    title: str
    rows: list[Row]


def sections_of(columns: list[Column]) -> list[Section]:
    """All rows of the table of these columns: the blog post's ten, then what is measured beyond them."""
    sections = [
        Section("At a glance", [*POST_ROWS, *verdict_rows(columns), Row("example", example)]),
        Section("Parameters and memory", MEMORY_ROWS),
        Section("Arithmetic and speed", [*SPEED_ROWS, *TRAINED_ROWS]),
        *(Section(title, rows) for title, rows in quality_rows(columns).items()),
    ]
    return [section for section in sections if section.rows]
