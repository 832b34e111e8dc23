"""The rows of the comparison table: one registry that alone knows units and rounding."""

from collections.abc import Callable

from bench.record import Record
from bench.render.cost_rows import COST_ROWS, median_epoch
from bench.render.row import Row, at, both, decimals, duration, millions
from bench.render.verdict import strength, weakness

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
    *COST_ROWS,
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
