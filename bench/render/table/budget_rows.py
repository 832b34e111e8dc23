"""The rows of quality at every other budget: each a finished model's, so that all columns are finished too."""

from collections.abc import Callable
from functools import partial

from bench.config import Budget
from bench.record import Record
from bench.record.quality import CurvePoint, Estimate, MeanLosses
from bench.render.table.cost_rows import training_seconds
from bench.render.table.row import RestsOn, Row, Section, decimals, duration, share, within

TIME_TOLERANCE = 0.05  # of a budget of time
WORDS: dict[str, Callable[[float], str]] = {
    "images": lambda amount: f"{amount:,.0f} images",
    "seconds": lambda amount: f"equal time ({duration(amount)})",
    "pflop": lambda amount: f"equal compute ({amount:g} PFLOP)",
}


def budget_rows(records: list[Record]) -> list[Row]:
    """The rows of every budget but the first, which the rest of the table tells of."""
    return [row for budget in other_budgets(records) for row in rows_at(budget, fewest_samples(records))]


def other_budgets(records: list[Record]) -> list[Budget]:
    """Every budget of the records but the first."""
    return list(dict.fromkeys(budget for record in records for budget in record.run.sizes.budgets[1:]))


def key_of(budget: Budget) -> str:
    return f"{budget.kind}_{budget.amount:g}".replace(".", "_")


def after(budget: Budget) -> str:
    return f"after {WORDS[budget.kind](budget.amount)}"


def point_at(budget: Budget, record: Record) -> CurvePoint | None:
    """What was measured of the model that was finished at a budget; one of time must be kept by the table's speed."""
    point = next((each for each in record.measurements.curve if str(budget) in each.budgets), None)
    return None if point is None or missed(budget, record, point) else point


def missed(budget: Budget, record: Record, point: CurvePoint) -> bool:
    """Whether training to a budget of time would take another time than that, by quiet runs.

    A run that found its speed beside other work has got too few steps.
    """
    if budget.kind != "seconds" or record.timed[0] is record or (seconds := training_seconds(record, point)) is None:
        return False
    return abs(seconds / budget.amount - 1) > TIME_TOLERANCE


def fewest_samples(records: list[Record]) -> int | None:
    found = [n for record in records for point in record.measurements.curve if (n := point.samples) is not None]
    return min(found, default=None)


def rows_at(budget: Budget, samples: int | None) -> list[Row]:
    """Paired error, attributes and loss of the models that were finished at one budget."""
    key, words, point = key_of(budget), after(budget), partial(point_at, budget)
    rests_on: RestsOn = "equal_time" if budget.kind == "seconds" else "samples"
    meaning = f"of the model whose learning rate had fallen to zero then; {samples} samples"
    if budget.kind == "seconds":
        meaning += (
            f"; a seed whose steps would take over {TIME_TOLERANCE:.0%} more or less by quiet times does not count"
        )

    def seconds(record: Record) -> float | None:
        found = point(record)
        return None if found is None else training_seconds(record, found)

    def of_point(
        name: str, label: str, read: Callable[[CurvePoint], Estimate | None], write: Callable[[float], str], better: str
    ) -> Row:
        found = within(point, read)
        return Row(
            Section.BUDGET, f"{name}_at_{key}", f"{label} {words}", within(found, lambda e: e.value), write, better,
            meaning, interval=within(found, lambda e: e.interval), rests_on=rests_on,
        )  # fmt: skip

    row = partial(Row, Section.BUDGET, rests_on=rests_on)
    return [
        of_point("paired_colour", "paired colour difference ΔE", paired_colour, decimals(2), "lower"),
        of_point("all_right", "all attributes right", lambda p: p.all_right, share, "higher"),
        of_point("exact_accuracy", "attribute accuracy, exact", lambda p: p.exact, decimals(3), "higher"),
        row(f"loss_at_{key}", f"validation loss {words}", within(point, lambda p: of_scored(p.validation_loss)),
            decimals(4), "lower", "on images that are never scored"),
        row(f"seconds_at_{key}", f"training time {words}", seconds, duration, meaning="by the speed in the table",
            rests_on="equal_time"),
        row(f"images_at_{key}", f"images seen {words}", within(point, lambda p: p.images), lambda n: f"{n:,.0f}"),
    ]  # fmt: skip


def paired_colour(point: CurvePoint) -> Estimate | None:
    return point.paired.colour if point.paired else None


def of_scored(losses: MeanLosses) -> float:
    """The loss of the weights that are scored: averaged, if the recipe keeps an average."""
    return losses.raw if losses.averaged is None else losses.averaged
