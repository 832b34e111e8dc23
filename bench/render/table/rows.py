"""The rows of the comparison table: one registry that alone knows units and rounding."""

from functools import partial

from bench.record import Record
from bench.record.cost import Cost
from bench.render.markdown import image
from bench.render.table.column import Column
from bench.render.table.cost_rows import MEMORY_ROWS, SPEED_ROWS, cost_here, full_scale, median_epoch
from bench.render.table.differences import Differences
from bench.render.table.quality_rows import quality_rows
from bench.render.table.row import Row, Section, both, decimals, duration, millions, within
from bench.render.table.verdict import verdict_rows

OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW"}
SCHEDULES = {
    "cosine": "cosine_schedule_with_warmup",
    "step": "StepLR",
    "decay": "constant_schedule_with_warmup, then to 0",
}
EXAMPLE = "example"  # the key of the row of pictures


def parameters(cost: Cost) -> int:
    return cost.parameters.total


def heads(cost: Cost) -> str | None:
    """The numbers of heads that the built modules have, largest level last."""
    return "/".join(str(count) for count in sorted({each.heads for each in cost.attention})) or None


def model(cost: Cost) -> str | None:
    return None if cost.parameters.tau is None else "Tau + Unet"


def seconds_per_sample(record: Record) -> float | None:
    sampling = record.measurements.sampling
    return None if sampling is None else sampling.seconds / sampling.images


def last_loss(record: Record) -> float | None:
    """The training loss of the last epoch."""
    training = record.measurements.training
    return training.loss_per_epoch[-1] if training is not None and training.loss_per_epoch else None


def example(record: Record) -> str | None:
    path = record.images.example
    return None if path is None else image(f"an avatar by {record.run.contestant}", path)


post = partial(Row, Section.POST)

POST_ROWS = [
    post("parameters", "number of parameters",
         both(within(cost_here, parameters), within(full_scale, parameters), millions)),
    post("model", "denoising model", within(cost_here, model)),
    post("blocks", "Unet basic blocks", lambda r: r.measurements.blocks),
    post("heads", "number of attention heads", both(within(cost_here, heads), within(full_scale, heads), str)),
    post("seconds_per_epoch", "training time per epoch", median_epoch, duration, "lower", unit="seconds",
         rests_on="time"),
    post("optimizer", "optimizer", lambda r: OPTIMIZERS[r.run.recipe.optimisation.optimizer]),
    post("schedule", "learning rate schedule", lambda r: SCHEDULES[r.run.recipe.optimisation.schedule]),
]  # fmt: skip

TRAINED_ROWS = [
    Row(Section.SPEED, "seconds_per_sample", "seconds per sample", seconds_per_sample, decimals(3), "lower",
        "one sample, all steps of the sampler", rests_on="time", headline=True),
    Row(Section.SPEED, "training_loss", "training loss, last epoch", last_loss, decimals(4), None,
        "its timesteps and noise are drawn at random: the validation loss compares better"),
]  # fmt: skip


def rows_of(columns: list[Column], found: Differences) -> list[Row]:
    """All rows of the table of these columns: the blog post's ten, then what is measured beyond them, by section."""
    return [
        *POST_ROWS,
        *verdict_rows(columns, found),
        post(EXAMPLE, "example", example),
        *MEMORY_ROWS,
        *SPEED_ROWS,
        *TRAINED_ROWS,
        *quality_rows(columns),
    ]
