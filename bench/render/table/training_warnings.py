"""What the table warns of in how its runs were trained."""

from dataclasses import asdict, replace
from statistics import fmean

from bench.config import differences, recipe_for
from bench.errors import BadInput
from bench.record import Record
from bench.render.table.column import Column, seeds_of, timed

RISE = 1.01  # of the loss an epoch before: what is less may be chance
BUSY_SHARE = 0.05  # of a run's time, beside busy neighbours: from here on the table says so


def training_warnings(made: list[Column]) -> list[str]:
    """Recipes of another day, losses that rose, runs that were resumed elsewhere or ran beside others."""
    records = [record for column in made for record in column.records]
    return [
        *earlier_recipes(records),
        *rising_losses(made),
        *resumed_elsewhere(records),
        *busy_notes(records),
        *taken_models(records),
    ]


def earlier_recipes(records: list[Record]) -> list[str]:
    """A warning where a recipe was another one than what has its name today."""
    changed = dict.fromkeys((record.run.recipe.name, *changes_since(record)) for record in records)
    return [f"**Recipe {name} has changed since this was run:** {'; '.join(c)}." for name, *c in changed if c]


def changes_since(record: Record) -> list[str]:
    """`field: then, today` of a record's recipe, but for what presets or contestants decide."""
    then = record.run.recipe
    try:
        today = recipe_for(then.name, record.run.contestant)
    except BadInput:  # a variant by a name that is no longer understood
        return []
    today = replace(today, sampling_steps=then.sampling_steps)
    return [each.replace(" -> ", ", today ") for each in differences(asdict(then), asdict(today))]


def rising_losses(made: list[Column]) -> list[str]:
    """A warning for the seeds whose validation loss rose from one epoch to the next."""
    found = {column.title: [record for record in column.records if has_risen(record)] for column in made}
    return [
        f"**{title}, {seeds_of(rising)}: the validation loss rose during training,** from one epoch to the next: its "
        "learning rate may be too high."
        for title, rising in found.items()
        if rising
    ]


def has_risen(record: Record) -> bool:
    training = record.measurements.training
    means = [] if training is None else [fmean(losses.raw) for losses in training.validation]
    return any(later > RISE * earlier for earlier, later in zip(means, means[1:], strict=False))


def resumed_elsewhere(records: list[Record]) -> list[str]:
    """A mark for every run that was resumed where the same bits cannot be expected."""
    lines = [
        f"**{record.run.name} is not bit-identical:** it was resumed with {'; '.join(training.not_bit_identical)}."
        for record in records
        if (training := record.measurements.training) is not None and training.not_bit_identical
    ]
    return without_repeats(lines)


def taken_models(records: list[Record]) -> list[str]:
    """A note for every run that was not trained itself."""
    lines = [
        f"{record.run.name} took the trained model of {training.taken_from}, and the times of its training."
        for record in records
        if (training := record.measurements.training) is not None and training.taken_from
    ]
    return without_repeats(lines)


def busy_notes(records: list[Record]) -> list[str]:
    """A mark for every run beside which other processes wanted the cores."""
    lines = [
        f"**{record.run.name} ran on a busy machine:** in {training.busy_share:.0%} of its time others wanted the "
        "cores; its times are too long."
        for record in timed(records)
        if (training := record.measurements.training) is not None and (training.busy_share or 0.0) > BUSY_SHARE
    ]
    return without_repeats(lines)


def without_repeats(lines: list[str]) -> list[str]:
    """Two folders may hold runs of one name, of which different things are to be said."""
    return list(dict.fromkeys(lines))
