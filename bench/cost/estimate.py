"""How long a run will take, from the seconds of one training step and of one step of sampling."""

from bench.config import Recipe, RunConfig, Sizes
from bench.data.dataset import HELD_OUT_SHARE
from bench.sampling.samples import GUIDANCES, SWEEP, moving, series_of
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
    training = training_steps(sizes) * seconds_per_training_step
    sampling = guided_predictions(sizes, recipe) * seconds_per_prediction
    return {"training": training, "sampling": sampling, "total": training + sampling}


def training_steps(sizes: Sizes) -> int:
    """Steps of all epochs; a tenth of the images is held out, and a batch is whole or not done."""
    whole = (sizes.images - held_out(sizes)) // sizes.batch_size
    return min(whole, sizes.max_steps or whole) * sizes.epochs


def held_out(sizes: Sizes) -> int:
    return max(1, round(HELD_OUT_SHARE * sizes.images))


def guided_predictions(sizes: Sizes, recipe: Recipe) -> float:
    """Predictions of single images with guidance; one without, as at guidance 0 or 1, counts half."""
    # Of this configuration only sizes and recipe are asked.
    config = RunConfig("scratch", 0, "", sizes.applied_to(recipe), sizes, "", "", "cpu", "no", "channels_last")
    steps, few = config.recipe.sampling_steps, moving(sizes)
    series = sum(each.count * each.recipe.sampling_steps * weight(each.guidance) for each in series_of(config))
    epochs = sizes.epochs * sizes.curve_samples * steps * weight(recipe.guidance)
    known = {*GUIDANCES, recipe.guidance}
    pictures = few * steps * (1 + sum(weight(guidance) for guidance in SWEEP if guidance not in known))
    weights = 1 if recipe.ema_decay is None else 2  # validated: the raw ones, and the average if one is kept
    validation = sizes.epochs * weights * LEVELS * min(sizes.validation_images, held_out(sizes)) / 2
    return series + epochs + pictures + validation


def weight(guidance: float) -> float:
    return 0.5 if guidance in (0, 1) else 1.0
