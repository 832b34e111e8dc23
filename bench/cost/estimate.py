"""How long a run will take, from the seconds of one training step and of one step of sampling."""

from bench.config import MATCHED, Recipe, RunConfig, Sizes
from bench.data.splits import counts
from bench.sampling.samples import GUIDANCES, STRIP, SWEEP, moving, series_of
from bench.training.budgets import budget_steps, decay_start
from bench.training.validation import LEVELS


def estimate(
    sizes: Sizes,
    recipe: Recipe,
    seconds_per_training_step: float,  # with a batch of sizes.batch_size
    seconds_per_prediction: float | None,  # of one image with guidance: conditional and unconditional; None: unknown
) -> dict[str, float]:
    """Seconds of one contestant's run with one seed: `training`, `sampling` (validation included) and `total`.

    Drawing the data, training the classifier and scoring come on top. Where no prediction was timed, one with
    guidance counts as two thirds of a training step's share of an image: two forward passes where training has one,
    and a backward pass of twice the work.
    """
    if seconds_per_prediction is None:
        seconds_per_prediction = seconds_per_training_step / sizes.batch_size * 2 / 3
    training = training_steps(sizes, seconds_per_training_step) * seconds_per_training_step
    sampling = guided_predictions(sizes, recipe, seconds_per_training_step) * seconds_per_prediction
    return {"training": training, "sampling": sampling, "total": training + sampling}


def training_steps(sizes: Sizes, seconds_per_step: float) -> int:
    """Steps of all budgets with their branches, or of all epochs; a batch is whole or not done."""
    plan, last = MATCHED.optimisation, max(budgeted(sizes, seconds_per_step), default=0)
    branches = [end - decay_start(plan, end) for end in set(budgeted(sizes, seconds_per_step)) - {last}]
    return last + sum(branches) if last else sizes.epochs * epoch_steps(sizes)


def budgeted(sizes: Sizes, seconds_per_step: float) -> list[int]:
    """The steps of the budgets that images or seconds tell; of arithmetic nothing is known here."""
    told = tuple(budget for budget in sizes.budgets if budget.kind != "pflop")
    return list(budget_steps(told, sizes.batch_size, seconds_per_step, None))


def epoch_steps(sizes: Sizes) -> int:
    whole = counts(sizes.images).train // sizes.batch_size
    return min(whole, sizes.max_steps or whole)


def guided_predictions(sizes: Sizes, recipe: Recipe, seconds_per_step: float) -> float:
    """Predictions of single images with guidance; one without, as at guidance 0 or 1, counts half."""
    # Of this configuration only sizes and recipe are asked.
    config = RunConfig("scratch", 0, "", sizes.applied_to(recipe), sizes, "", "", "cpu", "no", "channels_last")
    steps, few = config.recipe.sampling_steps, moving(sizes)
    series = sum(each.count * each.recipe.sampling_steps * weight(each.guidance) for each in series_of(config))
    ends = set(budgeted(sizes, seconds_per_step)) or {1}
    epochs = max(ends) // epoch_steps(sizes) if sizes.budgets else sizes.epochs
    strips = epochs * STRIP * steps * weight(recipe.guidance)
    budgets = (len(ends) - 1) * sizes.curve_samples * steps * weight(recipe.guidance)
    known = {*GUIDANCES, recipe.guidance}
    pictures = few * steps * (1 + sum(weight(guidance) for guidance in SWEEP if guidance not in known))
    weights = 1 if recipe.ema_decay is None else 2  # validated: the raw ones, and the average if one is kept
    validated = weights * LEVELS * min(sizes.validation_images, counts(sizes.images).validation) / 2
    return series + strips + budgets + pictures + (epochs + len(ends)) * validated


def weight(guidance: float) -> float:
    return 0.5 if guidance in (0, 1) else 1.0
