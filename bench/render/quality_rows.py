"""The rows of quality: distances, conditions, the source's words measured, and equal budgets."""

from collections.abc import Callable
from typing import Any

from bench.record import Record
from bench.render.legend import comparable
from bench.render.row import Row, at, decimals, duration, estimate, share

FID = "FID (Inception)"
ROUNDING = 1.05  # of an equal budget: epochs end where they end


def quality_rows(records: list[Record]) -> list[Row]:
    """Every row of quality; what only some records have is `–` in the others."""
    return [*distance_rows(records), *ATTRIBUTE_ROWS, *attribute_rows(records), *ARTEFACT_ROWS, *LOSS_ROWS,
            *SWEEP_ROWS, *equal_rows(records)]  # fmt: skip


ATTRIBUTE_ROWS = [
    Row("attribute accuracy, macro", at("attributes", "macro", "accuracy"), decimals(3), "higher",
        "share of samples that show what was asked, by a classifier; mean over attributes",
        interval=at("attributes", "macro", "interval")),
    Row("… normalised", at("attributes", "macro", "normalised"), share, "higher",
        "the share of the way from chance to ceiling: (accuracy − chance) / (ceiling − chance)"),
    Row("… its ceiling (real images)", at("attributes", "macro", "ceiling"), decimals(3), None,
        "the same classifier on held-out real images"),
    Row("… on real images with light noise", at("judge", "macro", "noisy"), decimals(3), None,
        "the same classifier where the real images are a little noisy"),
    Row("… on real images with light blur", at("judge", "macro", "blurred"), decimals(3), None,
        "the same classifier where the real images are a little blurred"),
    Row("… its chance level", at("attributes", "macro", "chance"), decimals(3), None,
        "always answering the commonest variant"),
]  # fmt: skip

ARTEFACT_ROWS = [
    estimate("background: stray pixels", ("artefacts", "stray_pixels"), share, "lower",
             "pixels that can be seen where the real image of that condition is empty"),
    estimate("background: level", ("artefacts", "background_level"), decimals(2), "lower",
             "root mean square of the pixels there, of 255"),
    estimate("colour: ΔE to the colour asked for", ("artefacts", "colour_error"), decimals(2), "lower",
             "CIEDE2000, on the part that shows it"),
    estimate("colour: out of palette", ("artefacts", "out_of_palette"), share, "lower",
             "pixels of the drawn part with a colour that real images hardly use"),
    estimate("shape: edge agreement", ("artefacts", "edge_agreement"), decimals(3), "higher",
             "F1 of the edges against those of the real image of that condition"),
    estimate("shape: accuracy of its attributes", ("attributes", "kinds", "shape"), decimals(3), "higher",
             "mean over the attributes that are no colours"),
    estimate("colour: accuracy of its attributes", ("attributes", "kinds", "colour"), decimals(3), "higher",
             "mean over the attributes of colour"),
    estimate("hairstyles: variety", ("attributes", "hairstyle"), share, "higher",
             "effective number of hairstyles in the samples over that of those asked for"),
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


LOSS_ROWS = [
    Row("validation loss, averaged weights", last_validation("averaged"), decimals(4), "lower",
        "held-out images at eight fixed timesteps with fixed noise, the same for every run"),
    Row("validation loss, raw weights", last_validation("raw"), decimals(4), "lower",
        "the same with the weights as they were trained, not averaged"),
]  # fmt: skip


def best_guidance(record: Record) -> float | None:
    sweep = at("guidance")(record)
    return None if not sweep else max(sweep, key=lambda row: row["accuracy"])["guidance"]


def yes_or_no(read: Callable[[Record], bool | None], alarming: bool) -> Callable[[Record], str | None]:
    """A reader of the same as a word, in bold where it is the alarming one."""

    def word(record: Record) -> str | None:
        value = read(record)
        if value is None:
            return None
        text = "yes" if value else "no"
        return f"**{text}**" if value == alarming else text

    return word


def agreement(record: Record) -> str | None:
    """Whether the samplers' differences lie within the tolerances, beyond them, or neither for sure."""
    if at("sampler")(record) is None:
        return None
    return {True: "yes", False: "**no**", None: "not shown: too few samples to say"}[at("sampler", "agree")(record)]


SWEEP_ROWS = [
    Row("guidance scale of the best accuracy", best_guidance, decimals(1), None, "of the sweep, from few samples"),
    Row("fast sampler − full sampler: accuracy", at("sampler", "accuracy_difference"), decimals(3), None,
        "the same conditions and latents, by the recipe's sampler and by all steps of the schedule",
        interval=at("sampler", "accuracy_interval")),
    Row("fast sampler over full sampler: Fréchet distance", at("sampler", "frechet_relative"), share, None,
        "by how much the fast sampler's distance is larger", interval=at("sampler", "frechet_interval")),
    Row("… do they agree (0.01, 5 %)?", agreement),
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
            interval=at("attributes", "per_attribute", name, "interval"),
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


Basis = tuple[str, str, int, int]  # what a distance rests on: extractor, its weights, numbers of images


def basis(distance: dict[str, Any]) -> Basis:
    return distance["extractor"], distance["weights_sha256"], distance["generated"], distance["real"]


def distance_rows(records: list[Record]) -> list[Row]:
    """The rows of every extractor with every number of images: no two of them ever share a row."""
    found = {basis(d): d for record in records for d in (at("distance")(record) or {}).values()}
    rows = []
    for key, distance in found.items():
        twice = sum(other["title"] == distance["title"] for other in found.values()) > 1
        title = distance["title"] + (f", {key[2]} against {key[3]}, weights {key[1][:8]}" if twice else "")
        rows += rows_of_distance(title, key)
    if not any(distance["title"] == FID for distance in found.values()):
        rows.append(Row(FID, lambda _: None, meaning="the usual FID; measured where Inception's weights are to be had"))
    return rows


def on(key: Basis, table: str, *path: str) -> Callable[[Record], Any]:
    """A reader of a distance, or of a table beside it, where the record's rests on the same."""

    def read(record: Record) -> Any:
        distance = at("distance", key[0])(record)
        return at(table, key[0], *path)(record) if distance and basis(distance) == key else None

    return read


def rows_of_distance(title: str, key: Basis) -> list[Row]:
    return [
        Row(title, on(key, "distance", "frechet_distance"), decimals(1), "lower",
            "distance to held-out real images in these features; only Inception's is the usual FID",
            interval=on(key, "distance", "interval")),
        Row("… its floor (real training images)", on(key, "distance", "floor"), decimals(1), None,
            "as many real training images against the same held-out ones: what other real images get"),
        Row("… over its floor", on(key, "distance", "ratio_to_floor"), decimals(2), "lower", "1 is as good as real"),
        Row("… KID × 1000", on(key, "distance", "kid", "value"), thousandfold, "lower",
            "kernel distance of the same features; unbiased, so 0 is as good as real"),
        Row("… its sd over subsets", on(key, "distance", "kid", "sd"), thousandfold, None, "also × 1000"),
        *(Row(f"… {name}", on(key, "distance", "precision_recall", name, "value"), decimals(3), "higher", meaning,
              interval=on(key, "distance", "precision_recall", name, "interval")) for name, meaning in NEIGHBOURHOOD),
        Row("… nearest training image, ratio to real", on(key, "memorisation", "median_ratio"), decimals(2), None,
            "distance to the nearest training image, over that of held-out real images; far below 1: copies"),
        Row("… samples nearer than 5 % of real ones", on(key, "memorisation", "closer", "value"), share, None,
            "new images of the kind: about 5 %; far more: copies of training images",
            interval=on(key, "memorisation", "closer", "interval")),
        Row("… copies of training images?", yes_or_no(on(key, "memorisation", "flagged"), alarming=True)),
    ]  # fmt: skip


NEIGHBOURHOOD = (
    ("precision", "share of samples that lie among real images"),
    ("recall", "share of real images that lie among the samples"),
)


def thousandfold(value: float) -> str:
    return f"{1000 * value:.2f}"


def equal_rows(records: list[Record]) -> list[Row]:
    """Accuracy and Fréchet distance after equal time and equal compute, read off the curves of several contestants.

    None where the records do not all compare, or not on the same machine.
    """
    done = [record for record in records if record.status == "done" and at("curve")(record)]
    machines = {record.environment.get("device") for record in done}
    if len({record.run.contestant for record in done}) < 2 or len(machines) > 1:
        return []
    if not all(comparable(record, done[0]) for record in done):
        return []
    count = at("curve")(done[0])[-1].get("samples")
    rows = []
    for axis, word, write in (("seconds", "time", duration), ("training_flop", "compute", petaflop)):
        budget = equal_budget(done, axis)
        if budget is not None:
            label = f"after equal {word} ({write(budget)})"
            rows += [
                Row(f"accuracy {label}", up_to(axis, budget, "accuracy"), decimals(3), "higher", OF_CURVE,
                    interval=up_to(axis, budget, "accuracy_interval")),
                Row(f"Fréchet distance (EfficientNet-Lite0, {count} samples) {label}",
                    up_to(axis, budget, "frechet_distance"), decimals(1), "lower", OF_CURVE),
                Row(f"epochs {label}", up_to(axis, budget, "epoch"), decimals(1)),
            ]  # fmt: skip
    return rows


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
