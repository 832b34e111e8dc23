"""What stands below the table: what its numbers rest on, and where records do not compare."""

from bench.config import MATCHED, TUNED_RATES, Sizes, is_tuned
from bench.quality.significance import FEWEST_SEEDS
from bench.record import Record
from bench.record.quality import EFFICIENTNET, Accuracy
from bench.render.table.column import Column
from bench.render.table.comparability import comparability_notes, has_quiet_times, machine_name, reference_of
from bench.render.table.measures import MEASURES, PRIMARY_MEASURE
from bench.render.table.row import MISSING, precision_name
from bench.render.table.scaling import scaling_notes
from bench.render.table.training_warnings import training_warnings

GUESS = 0.25  # share of the way from chance to no mistake below which a classifier hardly does more than guess


def warnings(made: list[Column]) -> list[str]:
    """What does not compare, what is not bit-identical, and what the classifier cannot tell."""
    records = [record for column in made for record in column.records]
    return [
        *rehearsals(records),
        *comparability_notes(made),
        *training_warnings(made),
        *guesses(records),
    ]


def rehearsals(records: list[Record]) -> list[str]:
    short = any(record.run.sizes.max_steps for record in records)
    return ["**A rehearsal, no result:** it trained for a few steps only, to see that a whole run works."] * short


def legend(made: list[Column]) -> list[str]:
    """The warnings, then what the numbers rest on."""
    records, first = [record for column in made for record in column.records], reference_of(made)
    return [
        *warnings(made),
        training_note(first, made),
        data_note(first),
        scoring_note(first),
        verdict_note(),
        "At other budgets: models that were finished there, their learning rate down to zero. ± is the standard "
        "deviation over seeds; where there is one seed, or all say the same, `(a to b)` is the 95 % interval over "
        "samples.",
        f"A MiB is 2^20 bytes. Full scale: the published size{how_accounted(first)}. Predicted "
        "peaks, activations and GFLOP are accounted without the memory, not measured.",
        *one_token_notes(records),
        *ignoring_notes(records),
        *missing_notes(records),
        *(f"{column.title} is {whole_name(column.lead)}." for column in made if column.is_shortened),
        *scaling_notes(records),
        environment_note(first),
        *quiet_notes(records),
        f"The first run was made by `{first.command}`. {MISSING} means not measured.",
    ]


def whole_name(record: Record) -> str:
    """The contestant, and the recipe if its name has changes."""
    run = record.run
    return f"`{run.contestant}`" + (f", recipe `{run.recipe.name}`" if "+" in run.recipe.name else "")


def quiet_notes(records: list[Record]) -> list[str]:
    """Where the times come from, if not from the runs that were scored."""
    quiet = [each for record in records if has_quiet_times(record) for each in record.timed]
    machines = dict.fromkeys(
        f"{machine_name(each)}, {each.environment.threads} threads, torch {each.environment.versions.get('torch')}, "
        f"commit {each.environment.commit or MISSING}"
        for each in quiet
    )
    return [
        f"Times, speeds and the machine's peaks are of short runs of their own, one after another ({machine}); "
        "the runs that are scored ran side by side."
        for machine in machines
    ]


def verdict_note() -> str:
    """How strength and weakness are found."""
    return (
        "Strength and weakness: where a contestant is better, or worse, than every other one above chance with the "
        f"same seeds (paired t tests, Holm's correction over {len(MEASURES)} measures and all pairs of columns: of "
        f"tables of equals, about 5 % name any). One with fewer than {FEWEST_SEEDS} seeds in common is left out, and "
        "nothing is said of samples no better than chance. The words compare: what is nearer may still be far. The "
        f"primary measure is the {PRIMARY_MEASURE.label}."
    )


def how_accounted(record: Record) -> str:
    """Of what the figures at full scale are."""
    cost = record.measurements.full_cost
    if cost is None:
        return ""
    how = precision_name(cost.mixed_precision)
    return f", with a condition {cost.condition_width} wide, in batches of {cost.batch_size}, in {how}"


def one_token_notes(records: list[Record]) -> list[str]:
    """A warning for every contestant that attends to a single token: its heads then change nothing."""
    found = dict.fromkeys(
        record.run.contestant
        for record in records
        if (cost := record.measurements.cost) is not None
        and any(here.kind == "cross" and here.context_tokens == 1 for here in cost.attention)
    )
    return [f"**{name} attends to one context token:** its softmax is always 1, whatever its heads." for name in found]


def ignoring_notes(records: list[Record]) -> list[str]:
    """A warning for every contestant that predicts the same whatever is asked."""
    found = dict.fromkeys(record.run.contestant for record in records if record.measurements.ignores_condition)
    return [f"**{name} ignores its condition:** it predicts the same whatever attributes are asked." for name in found]


def missing_notes(records: list[Record]) -> list[str]:
    """Why a contestant's step has no account, or its peak no measurement."""
    found = []
    for record in records:
        name, cost, peak = record.run.contestant, record.measurements.cost, record.measurements.peak_memory
        if cost is not None and cost.untraced is not None:
            why = f"its step could not be followed, {cost.untraced}"
            found.append(f"{name} has no activations, peak and GFLOP: {why}")
        if peak is not None and peak.measured_bytes is None:
            found.append(f"{name} has no measured peak: {record.run.device} keeps no count of it.")
        if record.status == "done" and peak is None:
            found.append(f"{name} was run before steps were timed and peaks measured: {MISSING} in their rows.")
    return list(dict.fromkeys(found))


def guesses(records: list[Record]) -> list[str]:
    """A warning where the classifier reads real images hardly better than a guess would."""
    scored = [each for record in records if (each := record.measurements.attributes) is not None]
    read = [pair for each in scored for pair in (("all attributes together", each.macro), *each.per_attribute.items())]
    guessed = [(name, row) for name, row in read if is_guess(row)]
    found = dict.fromkeys(f"{name} (ceiling {row.ceiling:.3f}, chance {row.chance:.3f})" for name, row in guessed)
    about = ", ".join(found)
    line = f"**The classifier is near or below chance on real images** for {about}: do not believe it there."
    return [line] if found else []


def is_guess(row: Accuracy) -> bool:
    """Whether the classifier reads an attribute off real images hardly better than a guess would."""
    ceiling, chance = row.ceiling, row.chance
    return ceiling is not None and chance is not None and ceiling - chance < GUESS * (1 - chance)


def rate_of(record: Record) -> str:
    """The learning rate; of the recipe that gives each its own, whether it was found by trials."""
    run = record.run
    if run.recipe.name != MATCHED.name or is_tuned(run):
        return f"{run.sizes.learning_rate:g}"
    chosen = TUNED_RATES.get(run.preset, {}).get(run.contestant, run.sizes.learning_rate)
    is_other = chosen != run.sizes.learning_rate
    return f"{run.sizes.learning_rate:g} ({'not the chosen rate' if is_other else 'not tuned'})"


def training_note(record: Record, made: list[Column]) -> str:
    run, sizes = record.run, record.run.sizes
    seeds = ", ".join(str(seed) for seed in sorted({r.run.seed for column in made for r in column.records}))
    rates = {column.title: " and ".join(dict.fromkeys(map(rate_of, column.records))) for column in made}
    return (
        f"Preset {run.preset}, recipe {run.recipe.name}, seed {seeds}: {sizes.image_size}×{sizes.image_size}, scale "
        f"{sizes.scale:g} of the published channels, {training_length(record)}, in batches of "
        f"{sizes.batch_size}. Learning rates: {', '.join(f'{name} {rate}' for name, rate in rates.items())}."
    )


def training_length(record: Record) -> str:
    """Its budgets, or its epochs."""
    sizes, epoch = record.run.sizes, images_per_epoch(record)
    if not sizes.budgets:
        return f"{sizes.epochs} epochs of {epoch} images"
    budgets = ", ".join(map(str, sizes.budgets))
    return f"trained for {budgets} (the first one is scored in full), an epoch being {epoch} images"


def images_per_epoch(record: Record) -> str:
    training = record.measurements.training
    return MISSING if training is None else str(training.images_per_epoch)


def data_note(record: Record) -> str:
    data = record.data
    images, held_out, leaked = (MISSING if n is None else n for n in (data.images, data.held_out, data.leaked))
    parts = "" if data.test is None else f" ({data.validation} for validation, {data.test} for the test)"
    return (
        f"Data: {record.run.data}, {images} images, {held_out} held out{parts}, {leaked} of them also in training; "
        f"content {record.run.data_hash[:12]}."
    )


def scoring_note(record: Record) -> str:
    run = record.run
    distance = record.measurements.distance.get(EFFICIENTNET)
    generated, real = (MISSING, MISSING) if distance is None else (distance.generated, distance.real)
    sides = f"{generated} generated against {real} held-out real"
    few = (
        " (fewer images than features: rank-deficient, compare within this table only)"
        if distance is not None and distance.rank_deficient
        else ""
    )
    asked = distance is not None and distance.split.endswith("asked")
    split = "the very conditions asked, so there is no floor" if asked else "other conditions"
    exact = record.measurements.exact
    fewer = exact is not None and exact.samples < run.sizes.samples
    judged = f" (by the exact judge: the first {exact.samples})" if exact is not None and fewer else ""
    sampler = f"{run.recipe.sampler.upper()} in {run.recipe.sampling_steps} steps, guidance {run.recipe.guidance:g}"
    return (
        f"Scored on {run.sizes.samples} samples{judged}: {sampler}. Distances: {sides} images of {split}{few}. "
        f"{few_samples(record)} at every guidance scale{full_sampler(run.sizes)}: the first of the same conditions, "
        "from the same latents."
    )


def few_samples(record: Record) -> str:
    """How many samples are scored of every other model (in older records after every epoch), and in the sweep."""
    sizes, points = record.run.sizes, record.measurements.curve
    curve, sweep = (min(few, sizes.samples) for few in (sizes.curve_samples, sizes.sweep_samples))
    if any(point.steps is None for point in points):
        return f"After every epoch {curve} samples, and {sweep}"
    return f"At every other budget {curve} samples, and {sweep}" if len(sizes.budgets) > 1 else f"{sweep} samples"


def full_sampler(sizes: Sizes) -> str:
    full = min(sizes.full_samples, sizes.samples)
    return f", and {full} by the full sampler" if full else ""


def precision_of(record: Record) -> str:
    return precision_name(record.run.mixed_precision)


def environment_note(record: Record) -> str:
    here = record.environment
    versions = ", ".join(f"{name} {number}" for name, number in here.versions.items())
    return (
        f"{machine_name(record)}, {here.threads} threads, {precision_of(record)}; {versions}; "
        f"commit {here.commit or MISSING}."
    )
