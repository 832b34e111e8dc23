"""The rows of quality: distances, conditions, and the blog post's words measured."""

from collections.abc import Callable
from functools import partial

from bench.record import CurvePoint, Record
from bench.record.quality import Artefacts, Attributes, Estimate, MacroReadings, MeanLosses, Samplers
from bench.render.table.asked_rows import AGREEMENT_ROW, ASKED_ROWS, RETRIEVED, retrieval
from bench.render.table.budget_rows import budget_rows, of_scored
from bench.render.table.column import Column
from bench.render.table.distance_rows import distance_rows, snake
from bench.render.table.row import (
    Estimated,
    Row,
    Section,
    decimals,
    estimate,
    resting_on,
    share,
    within,
)


def quality_rows(columns: list[Column]) -> list[Row]:
    """Every row of quality; what only some records have is `–` in the others."""
    records = [record for column in columns for record in column.records]
    return [
        *ASKED_ROWS,
        *ATTRIBUTE_ROWS,
        AGREEMENT_ROW,
        *attribute_rows(records),
        *distance_rows(records),
        *ARTEFACT_ROWS,
        *LOSS_ROWS,
        *SWEEP_ROWS,
        *budget_rows(records),
    ]


def attributes(record: Record) -> Attributes | None:
    return record.measurements.attributes


def of_real(read: Callable[[MacroReadings], float | None]) -> Callable[[Record], float | None]:
    """A reader of what the classifier makes of real images."""
    return within(lambda record: record.measurements.judge, lambda judge: read(judge.macro))


asked, artefact = partial(Row, Section.ATTRIBUTES), partial(estimate, Section.ARTEFACTS)

ATTRIBUTE_ROWS = resting_on("classifier", [
    asked("accuracy", "attribute accuracy, macro", within(attributes, lambda a: a.macro.accuracy), decimals(3),
          "higher", "share of samples that show what was asked, by a classifier; mean over attributes",
          interval=within(attributes, lambda a: a.macro.interval), headline=True),
    asked("accuracy_retrieval", "… of the nearest training image", within(retrieval, lambda found: found.accuracy),
          decimals(3), None, RETRIEVED),
    asked("accuracy_normalised", "… normalised", within(attributes, lambda a: a.macro.normalised), share, "higher",
          "the share of the way from chance to ceiling: (accuracy − chance) / (ceiling − chance)"),
    asked("accuracy_ceiling", "… its ceiling (real images)", within(attributes, lambda a: a.macro.ceiling), decimals(3),
          None, "the same classifier on held-out real images"),
    asked("accuracy_noisy", "… on real images with light noise", of_real(lambda macro: macro.noisy), decimals(3), None,
          "the same classifier where the real images are a little noisy"),
    asked("accuracy_blurred", "… on real images with light blur", of_real(lambda macro: macro.blurred), decimals(3),
          None, "the same classifier where the real images are a little blurred"),
    asked("accuracy_chance", "… its chance level", within(attributes, lambda a: a.macro.chance), decimals(3), None,
          "always answering the commonest variant"),
])  # fmt: skip


def artefacts(read: Callable[[Artefacts], Estimate | None]) -> Callable[[Record], Estimated | None]:
    return within(lambda record: record.measurements.artefacts, read)


def variety(record: Record) -> Estimated | None:
    found = attributes(record)
    return None if found is None else found.hairstyle


ARTEFACT_ROWS = [
    artefact("stray_pixels", "background: stray pixels", artefacts(lambda a: a.stray_pixels), share, "lower",
             "pixels that can be seen where the real image of that condition is empty", headline=True),
    artefact("background_level", "background: level", artefacts(lambda a: a.background_level), decimals(2), "lower",
             "root mean square of the pixels there, of 255"),
    artefact("colour_error", "colour: ΔE to the colour asked for", artefacts(lambda a: a.colour_error), decimals(2),
             "lower", "CIEDE2000, on the part that shows it"),
    artefact("out_of_palette", "colour: out of palette", artefacts(lambda a: a.out_of_palette), share, "lower",
             "pixels of the drawn part with a colour that real images hardly use"),
    artefact("edge_agreement", "shape: edge agreement", artefacts(lambda a: a.edge_agreement), decimals(3), "higher",
             "F1 of the edges against those of the real image of that condition"),
    artefact("shape_accuracy", "shape: accuracy of its attributes", within(attributes, lambda a: a.kinds.shape),
             decimals(3), "higher", "mean over the attributes that are no colours", rests_on="classifier"),
    artefact("colour_accuracy", "colour: accuracy of its attributes", within(attributes, lambda a: a.kinds.colour),
             decimals(3), "higher", "mean over the attributes of colour", rests_on="classifier"),
    artefact("hairstyles", "hairstyles: variety", variety, share, "higher",
             "effective number of hairstyles in the samples over that of those asked for", rests_on="classifier"),
    artefact("brightness", "brightness against real", artefacts(lambda a: a.brightness), decimals(2), None,
             "mean difference of lightness (L*, 0 to 100) to the real image of that condition; 0 is best"),
    artefact("saturation", "saturation against real", artefacts(lambda a: a.saturation), decimals(2), None,
             "mean difference of chroma to the real image of that condition; 0 is best"),
]  # fmt: skip

sampling = partial(Row, Section.SAMPLING)


def main_point(record: Record) -> CurvePoint | None:
    """The finished model that is scored in full: that of the first budget, or the last one."""
    main, curve = [str(budget) for budget in record.run.sizes.budgets[:1]], record.measurements.curve
    found = [point for point in curve if main and main[0] in point.budgets] or curve
    return found[-1] if found else None


def main_validation(read: Callable[[MeanLosses], float | None]) -> Callable[[Record], float | None]:
    """A reader of the validation loss of the model that is scored."""
    return within(main_point, lambda point: read(point.validation_loss))


LOSS_ROWS = resting_on("samples", [
    sampling("validation_loss", "validation loss", main_validation(of_scored), decimals(4), "lower",
             "held-out images at eight fixed timesteps with fixed noise, the same for every run"),
    sampling("validation_loss_raw", "… raw weights", main_validation(lambda v: v.raw), decimals(4), "lower",
             "the same with the weights as they were trained, where those that are scored are averages of them"),
])  # fmt: skip


def best_guidance(record: Record) -> float | None:
    known = [(point.accuracy, point.guidance) for point in record.measurements.guidance if point.accuracy is not None]
    return max(known, key=lambda pair: pair[0])[1] if known else None


def samplers(record: Record) -> Samplers | None:
    return record.measurements.sampler


def agreement(found: Samplers) -> str:
    """Whether the samplers' differences lie within the tolerances, beyond them, or neither for sure."""
    return {True: "yes", False: "**no**", None: "not shown: too few samples to say"}[found.agree]


SWEEP_ROWS = resting_on("classifier", [
    sampling("best_guidance", "guidance scale of the best accuracy", best_guidance, decimals(1), None,
             "of the sweep, from few samples"),
    sampling("sampler_accuracy_difference", "fast sampler − full sampler: accuracy",
             within(samplers, lambda s: s.accuracy_difference), decimals(3), None,
             "the same conditions and latents, by the recipe's sampler and by all steps of the schedule",
             interval=within(samplers, lambda s: s.accuracy_interval)),
    sampling("sampler_frechet_relative", "… Fréchet distance: by how much the fast sampler's is larger",
             within(samplers, lambda s: s.frechet_relative), share, None,
             "above 0: the fast sampler, which all other rows use, is worse",
             interval=within(samplers, lambda s: s.frechet_interval)),
    sampling("samplers_agree", "… do they agree (0.01, 5 %)?", within(samplers, agreement)),
])  # fmt: skip


def attribute_rows(records: list[Record]) -> list[Row]:
    """A row for every attribute that any record scores: accuracy, with its ceiling and chance level in the label."""
    names = dict.fromkeys(
        attribute.name
        for record in records
        for attribute in record.data.attributes
        if (scored := attributes(record)) is not None and attribute.name in scored.per_attribute
    )
    return [attribute_row(name, bounds(records, name)) for name in names]


def attribute_row(name: str, limits: str) -> Row:
    row = within(attributes, lambda found: found.per_attribute.get(name))
    return asked(
        f"accuracy_of_{snake(name)}",
        f"accuracy: {name}{limits}",
        within(row, lambda found: found.accuracy),
        decimals(3),
        "higher",
        "share of samples that show what was asked of this attribute, where it can be seen",
        interval=within(row, lambda found: found.interval),
        rests_on="classifier",
    )


def bounds(records: list[Record], name: str) -> str:
    """` (ceiling 0.97, chance 0.03)`: one classifier and one data set have one of each; else nothing."""
    rows = [row for record in records if (a := attributes(record)) and (row := a.per_attribute.get(name))]
    found = {(r.ceiling, r.chance) for r in rows if r.ceiling is not None and r.chance is not None}
    return f" (ceiling {(b := found.pop())[0]:.3f}, chance {b[1]:.3f})" if len(found) == 1 else ""
