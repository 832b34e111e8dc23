"""The rows of quality: distances, conditions, the blog post's words measured, and equal budgets."""

from collections.abc import Callable
from typing import Any

from bench.record import Record
from bench.render.table.column import Column
from bench.render.table.comparability import alike, reference_of
from bench.render.table.distance_rows import distance_rows
from bench.render.table.row import RestsOn, Row, at, decimals, duration, estimate, resting_on, share

ROUNDING = 1.05  # of an equal budget: epochs end where they end


def quality_rows(columns: list[Column]) -> dict[str, list[Row]]:
    """Every row of quality by section; what only some records have is `–` in the others."""
    records = [record for column in columns for record in column.records]
    return {
        "Distance to real images": distance_rows(records),
        "What was asked for": [*ATTRIBUTE_ROWS, *attribute_rows(records)],
        "Background, colour and shape": ARTEFACT_ROWS,
        "Loss, guidance and sampler": [*LOSS_ROWS, *SWEEP_ROWS],
        "After equal time and compute": equal_rows(records, reference_of(columns)),
    }


ATTRIBUTE_ROWS = resting_on("classifier", [
    Row("attribute accuracy, macro", at("attributes", "macro", "accuracy"), decimals(3), "higher",
        "share of samples that show what was asked, by a classifier; mean over attributes",
        interval=at("attributes", "macro", "interval"), headline=True),
    Row("… normalised", at("attributes", "macro", "normalised"), share, "higher",
        "the share of the way from chance to ceiling: (accuracy − chance) / (ceiling − chance)"),
    Row("… its ceiling (real images)", at("attributes", "macro", "ceiling"), decimals(3), None,
        "the same classifier on held-out real images", headline=True),
    Row("… on real images with light noise", at("judge", "macro", "noisy"), decimals(3), None,
        "the same classifier where the real images are a little noisy"),
    Row("… on real images with light blur", at("judge", "macro", "blurred"), decimals(3), None,
        "the same classifier where the real images are a little blurred"),
    Row("… its chance level", at("attributes", "macro", "chance"), decimals(3), None,
        "always answering the commonest variant", headline=True),
])  # fmt: skip

ARTEFACT_ROWS = [
    estimate("background: stray pixels", ("artefacts", "stray_pixels"), share, "lower",
             "pixels that can be seen where the real image of that condition is empty", headline=True),
    estimate("background: level", ("artefacts", "background_level"), decimals(2), "lower",
             "root mean square of the pixels there, of 255"),
    estimate("colour: ΔE to the colour asked for", ("artefacts", "colour_error"), decimals(2), "lower",
             "CIEDE2000, on the part that shows it", headline=True),
    estimate("colour: out of palette", ("artefacts", "out_of_palette"), share, "lower",
             "pixels of the drawn part with a colour that real images hardly use"),
    estimate("shape: edge agreement", ("artefacts", "edge_agreement"), decimals(3), "higher",
             "F1 of the edges against those of the real image of that condition", headline=True),
    estimate("shape: accuracy of its attributes", ("attributes", "kinds", "shape"), decimals(3), "higher",
             "mean over the attributes that are no colours", rests_on="classifier"),
    estimate("colour: accuracy of its attributes", ("attributes", "kinds", "colour"), decimals(3), "higher",
             "mean over the attributes of colour", rests_on="classifier"),
    estimate("hairstyles: variety", ("attributes", "hairstyle"), share, "higher",
             "effective number of hairstyles in the samples over that of those asked for", rests_on="classifier"),
    estimate("brightness against real", ("artefacts", "brightness"), decimals(2), None,
             "mean difference of lightness (L*, 0 to 100) to the real image of that condition; 0 is best"),
    estimate("saturation against real", ("artefacts", "saturation"), decimals(2), None,
             "mean difference of chroma to the real image of that condition; 0 is best"),
]  # fmt: skip


def last_validation(kind: str) -> Callable[[Record], float | None]:
    def read(record: Record) -> float | None:
        points = at("curve")(record) or [{}]
        return points[-1].get("validation_loss", {}).get(kind)

    return read


LOSS_ROWS = resting_on("samples", [
    Row("validation loss, averaged weights", last_validation("averaged"), decimals(4), "lower",
        "held-out images at eight fixed timesteps with fixed noise, the same for every run", headline=True),
    Row("validation loss, raw weights", last_validation("raw"), decimals(4), "lower",
        "the same with the weights as they were trained, not averaged"),
])  # fmt: skip


def best_guidance(record: Record) -> float | None:
    sweep = [row for row in at("guidance")(record) or [] if row["accuracy"] is not None]
    return None if not sweep else max(sweep, key=lambda row: row["accuracy"])["guidance"]


def agreement(record: Record) -> str | None:
    """Whether the samplers' differences lie within the tolerances, beyond them, or neither for sure."""
    if at("sampler")(record) is None:
        return None
    return {True: "yes", False: "**no**", None: "not shown: too few samples to say"}[at("sampler", "agree")(record)]


SWEEP_ROWS = resting_on("classifier", [
    Row("guidance scale of the best accuracy", best_guidance, decimals(1), None, "of the sweep, from few samples"),
    Row("fast sampler − full sampler: accuracy", at("sampler", "accuracy_difference"), decimals(3), None,
        "the same conditions and latents, by the recipe's sampler and by all steps of the schedule",
        interval=at("sampler", "accuracy_interval")),
    Row("… Fréchet distance: by how much the fast sampler's is larger", at("sampler", "frechet_relative"), share, None,
        "above 0: the fast sampler, which all other rows use, is worse", interval=at("sampler", "frechet_interval")),
    Row("… do they agree (0.01, 5 %)?", agreement),
])  # fmt: skip


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
            interval=at("attributes", "per_attribute", name, "interval"),
            rests_on="classifier",
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


def equal_rows(records: list[Record], reference: Record) -> list[Row]:
    """Accuracy and Fréchet distance after equal time and equal compute, read off the curves of several contestants.

    Only of records that compare with the reference: what does not has no cell.
    """
    done = [r for r in records if r.status == "done" and at("curve")(r) and alike("classifier", r, reference)]
    timed = [record for record in done if alike("time", record, reference)]
    return [
        *equal_budget_rows(timed, "seconds", "time", duration, "time"),
        *equal_budget_rows(done, "training_flop", "compute", petaflop, "classifier"),
    ]


def equal_budget_rows(
    records: list[Record], axis: str, word: str, write: Callable[[float], str], rests_on: RestsOn
) -> list[Row]:
    """The rows after an equal budget of time or compute; none where only one contestant has a curve."""
    budget = equal_budget(records, axis) if len({record.run.contestant for record in records}) > 1 else None
    if budget is None:
        return []
    count = at("curve")(records[0])[-1].get("samples")
    label = f"after equal {word} ({write(budget)})"

    def read(measure: str) -> Callable[[Record], Any]:
        within, members = up_to(axis, budget, measure), {id(record) for record in records}
        return lambda record: within(record) if id(record) in members else None

    return resting_on(rests_on, [
        Row(f"accuracy ({count} samples) {label}", read("accuracy"), decimals(3), "higher", OF_CURVE,
            interval=read("accuracy_interval")),
        Row(f"Fréchet distance (EfficientNet-Lite0, {count} samples) {label}", read("frechet_distance"), decimals(1),
            "lower", OF_CURVE),
        Row(f"epochs {label}", read("epoch"), decimals(1)),
    ])  # fmt: skip


OF_CURVE = "the last point of the curve within the budget, from few samples, its learning rate perhaps still high"


def petaflop(flop: float) -> str:
    return f"{flop / 1e15:.3g} PFLOP"


def equal_budget(records: list[Record], axis: str) -> float | None:
    """What the thriftiest has spent at its end."""
    spent = [at("curve")(record)[-1][axis] for record in records]
    return None if None in spent else min(spent)


def up_to(axis: str, budget: float, measure: str) -> Callable[[Record], Any]:
    """A reader of the last point of the curve that lies within the budget."""

    def read(record: Record) -> Any:
        within = [point for point in at("curve")(record) or [] if point[axis] <= ROUNDING * budget]
        return within[-1].get(measure) if within else None

    return read
