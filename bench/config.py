"""What a run is: frozen recipes, presets and the complete configuration of one run."""

import dataclasses
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from annotated_types import Interval

from bench.errors import BadInput, known
from bench.variants import split_name, varied

# Kinds of numbers that stand in a record; what lies beyond was written by no run.
Count = Annotated[int, Interval(ge=0, lt=2**63)]
Number = Annotated[float, Interval(ge=-1e30, le=1e30)]


BudgetKind = Literal["images", "seconds", "pflop"]


@dataclass(frozen=True)
class Optimisation:
    """How the weights are updated. Schedules: diffusers' "cosine"; torch's StepLR, "step"; or "decay".

    Under "decay" the rate is constant after the warm-up, and falls to zero over the last part of each budget, in a
    branch of its own: one run so has a finished model at every budget (Hägele et al. 2024, whose 1 − √ this is).
    """

    optimizer: Literal["adam", "adamw"]
    schedule: Literal["cosine", "step", "decay"]
    weight_decay: Number = 0.0
    warmup_share: Number = 0.0  # of all steps; under "decay", of the smallest budget of images
    decay_share: Number = 0.0  # "decay": of each budget's steps
    largest_gradient: Number | None = None  # the norm to which gradients are clipped; None: they are not
    step_epochs: Count = 1  # "step": the rate falls every so many epochs …
    step_factor: Number = 1.0  # … to this share of what it was


@dataclass(frozen=True)
class Recipe:
    """How a denoiser is trained and sampled, but for the sizes that a preset sets."""

    name: str
    timesteps: Count
    beta_start: Number
    beta_end: Number
    prediction: Literal["epsilon", "v_prediction"]
    condition_dropout: Number
    ema_decay: Number | None  # None: no average is kept, the raw weights are scored
    sampler: Literal["ddim", "ddpm"]
    sampling_steps: Count
    clip_sample: bool
    guidance: Number
    optimisation: Optimisation
    one_hot: bool = (
        True  # the condition has an entry for each variant; else the number of the variant for each attribute
    )
    centred: bool = True  # pixels in [−1, 1]; else in [0, 1]


MATCHED = Recipe(
    name="matched",
    timesteps=300,
    beta_start=1e-4,
    beta_end=0.035,  # ᾱ_T ≈ 0.005: sampling may start from pure noise
    prediction="v_prediction",
    condition_dropout=0.1,
    ema_decay=None,  # where the rate falls to zero, an average only holds back: it lags behind by a part of the fall
    sampler="ddim",
    sampling_steps=30,
    clip_sample=True,
    guidance=1.0,  # what the model itself has learned: no contestant's taste for guidance decides
    optimisation=Optimisation(
        "adamw", "decay", weight_decay=0.01, warmup_share=0.1, decay_share=0.2, largest_gradient=1.0
    ),
)

# The same rate for every contestant, instead of the rate that was found for each.
SAME_RATE = dataclasses.replace(MATCHED, name="same-rate")

# To hold "decay" against: one budget, and a cosine that is made for it.
COSINE = dataclasses.replace(
    MATCHED,
    name="cosine",
    optimisation=dataclasses.replace(MATCHED.optimisation, schedule="cosine", warmup_share=0.05, decay_share=0.0),
)

SOURCE = dataclasses.replace(
    MATCHED,
    name="source",
    beta_end=0.008,  # ᾱ_T ≈ 0.30: never pure noise, as published
    prediction="epsilon",
    sampler="ddpm",
    sampling_steps=300,
    guidance=2.0,
)

# The blog post names these optimisers and schedules and gives no constants; those are ours and stand in the record.
ADAM_STEP = Optimisation("adam", "step", step_epochs=2, step_factor=0.7)
ADAMW_COSINE = Optimisation("adamw", "cosine", weight_decay=0.01, warmup_share=0.05)
SOURCE_OPTIMISATION = {  # the twins and `scratch-best`, which are not in it, have that of the model they began as
    **dict.fromkeys(("scratch", "scratch-best"), ADAM_STEP),
    **dict.fromkeys(("diffusers-32", "twin-32", "diffusers-16", "twin-16", "diffusers-8", "twin-8"), ADAMW_COSINE),
}

ONE_RATE = ("same-rate", "source")  # by these everyone has the preset's learning rate
RECIPES = {each.name: each for each in (MATCHED, SAME_RATE, COSINE, SOURCE)}
# In the order of the table's columns.
CONTESTANTS = (
    "scratch", "scratch-best", "diffusers-32", "twin-32", "diffusers-16", "twin-16", "diffusers-8", "twin-8",
)  # fmt: skip
# One change of the architecture each, from `scratch` towards `twin-32` and back: scratch_unet/architecture.py.
CHANGES = ("tau", "heads", "attention", "transformer", "blocks", "levels", "upsampling", "time")
BRIDGE = (*(f"scratch+{change}" for change in CHANGES), *(f"twin-32-{change}" for change in CHANGES))
TWINS = {"twin-32": "diffusers-32", "twin-16": "diffusers-16", "twin-8": "diffusers-8"}  # by hand: the library's
DEFAULT_CONTESTANTS = "scratch,diffusers-32"  # the two columns of the blog post's table


def contestant_names(text: str) -> list[str]:
    """`scratch,diffusers-32`, `all` or `bridge` to names; BadInput for one that is no name of ours, no variant
    (`scratch+heads=1`) and no path.
    """
    groups = {"all": CONTESTANTS, "bridge": BRIDGE}
    parts = [part.strip() for part in re.split(r",(?![^\[]*\])", text) if part.strip()]  # `[1,2]` is one value
    chosen = [name for part in parts for name in groups.get(part, (part,))]
    if not chosen:
        raise BadInput(f"no contestant named: choose from {', '.join(CONTESTANTS)}")
    theirs = (":", "=")  # whether there are such, `bench.contestants` finds out
    return [name if any(sign in name for sign in theirs) else one_of_ours(name) for name in dict.fromkeys(chosen)]


def one_of_ours(name: str) -> str:
    """The name of a contestant of ours that is no variant; BadInput for another one.

    It may hold several changes: `scratch+tau+heads`, `twin-32-tau-levels`.
    """
    for start, sign in (("scratch", "+"), ("twin-32", "-")):
        changes = name.removeprefix(start + sign).split(sign)
        if name.startswith(start + sign) and set(changes) <= set(CHANGES):
            ordered = sign.join([start, *(change for change in CHANGES if change in changes)])
            if name != ordered:
                raise BadInput(f"contestant '{name}': write each change once, and in one order: {ordered}")
            return name
    return known(name, CONTESTANTS + BRIDGE, "contestant")


def recipe_for(name: str, contestant: str) -> Recipe:
    """A recipe, or a variant of it (`matched+beta_end=0.2`), as it applies to a contestant.

    BadInput where there is none, or where `source` has published nothing for the contestant.
    """
    base, changes = split_name(name)  # but for the steps of sampling, which are a size
    recipe, architecture = RECIPES[known(base, tuple(RECIPES), "recipe")], split_name(contestant)[0]
    if recipe is SOURCE:
        if architecture not in SOURCE_OPTIMISATION:
            raise BadInput(f"recipe 'source' publishes nothing for '{contestant}': use --recipe matched")
        recipe = dataclasses.replace(SOURCE, optimisation=SOURCE_OPTIMISATION[architecture])
    return dataclasses.replace(varied(recipe, changes, f"recipe {name}", fixed=("name", "sampling_steps")), name=name)


@dataclass(frozen=True)
class Budget:
    """For how long a contestant is trained: so many images, seconds on this machine, or PFLOP."""

    kind: BudgetKind
    amount: Number

    def __post_init__(self) -> None:
        object.__setattr__(self, "amount", float(self.amount))  # in a record as it is read back

    def __str__(self) -> str:
        return f"{self.kind}={self.amount:g}"

    @classmethod
    def read(cls, text: str) -> "Budget":
        """`images=32000` as a budget; BadInput if it is none."""
        kind, _, amount = text.partition("=")
        try:
            value = float(amount)
        except ValueError:
            value = -1.0
        if kind not in get_args(BudgetKind) or not 0 < value < float("inf"):
            raise BadInput(f"'{text}' is no budget: write images=N, seconds=N or pflop=N")
        return cls(kind, value)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Sizes:
    """What a preset sets: how big the models, the data and the evaluation are."""

    image_size: Count
    scale: Number  # 1 = the published number of channels
    images: Count  # of the data set, validation and test among them
    epochs: Count  # of training, where there are no budgets
    batch_size: Count
    learning_rate: Number
    samples: Count  # generated and scored
    curve_samples: Count  # generated and scored at every other budget than the first
    sweep_samples: Count  # generated and scored at every guidance scale
    judge_steps: Count  # training steps of the attribute classifier
    max_steps: Count | None = None  # of an epoch: a rehearsal, whose numbers are no results
    validation_images: Count = 64  # of the validation part, for the losses after every epoch and budget
    sampling_steps: Count | None = None  # of the sampler; None: as many as the recipe says
    budgets: tuple[Budget, ...] = ()  # each ends in a finished model; the first one's is scored in full
    full_samples: Count = 0  # generated by all of the schedule's steps, to hold the recipe's sampler against

    def applied_to(self, recipe: Recipe) -> Recipe:
        """The recipe with as many sampling steps as these sizes ask for."""
        return dataclasses.replace(recipe, sampling_steps=self.sampling_steps or recipe.sampling_steps)


PRESETS = {
    # A first look, and CI: everything happens that costs little, nothing is learned well.
    "smoke": Sizes(
        image_size=32,
        scale=1 / 8,
        images=320,
        epochs=2,
        batch_size=16,
        learning_rate=2e-3,
        samples=16,
        curve_samples=4,
        sweep_samples=2,
        judge_steps=100,
        validation_images=8,
        sampling_steps=10,  # of noise nothing better is drawn in 30
    ),
    # Samples that match their conditions, on two CPU cores. Small batches: steps teach more than images.
    "laptop": Sizes(
        image_size=32,
        scale=1 / 8,
        images=14_000,
        epochs=3,
        batch_size=16,
        learning_rate=3e-3,
        samples=2048,
        curve_samples=128,
        sweep_samples=64,
        judge_steps=1500,
        sampling_steps=20,
        # The second and third are about what `scratch` takes for the first, on two cores with AVX2.
        budgets=(
            Budget("images", 24_000),
            Budget("seconds", 230),
            Budget("pflop", 0.0102),
            Budget("images", 6000),
            Budget("images", 12_000),
        ),
    ),
    # The published scale, for an accelerator.
    "full": Sizes(
        image_size=64,
        scale=1.0,
        images=30_000,
        epochs=10,
        batch_size=128,
        learning_rate=2e-4,
        samples=2000,
        curve_samples=256,
        sweep_samples=256,
        judge_steps=3000,
    ),
}


# The learning rates that `bench tune` has chosen by validation loss; bench/training/README.md has the numbers of runs.
# A twin computes what its library model does, so it has its rate.
TUNED_RATES: dict[str, dict[str, float]] = {"laptop": {"scratch": 3e-3, "diffusers-32": 1.7e-3, "twin-32": 1.7e-3}}


BEGAN_AS = {"scratch-best": "scratch"}  # whose rate it has: it was tried with others as well, and not tuned


def found_rate(preset: str, contestant: str) -> float | None:
    """The rate that was found for a contestant, or for the one that it is a variant of: `scratch+heads`, say."""
    rates, base = TUNED_RATES.get(preset, {}), split_name(contestant)[0]
    contestant = BEGAN_AS.get(base, base)
    bases = [name for name in rates if contestant == name or contestant.startswith((f"{name}+", f"{name}-"))]
    return rates[max(bases, key=len)] if bases else None


def is_tuned(run: "RunConfig") -> bool:
    """Whether a run's learning rate is the one that was found for its contestant, by trials of these sizes."""
    preset, rates = PRESETS.get(run.preset), TUNED_RATES.get(run.preset, {})
    is_known = preset is not None and run.data == "avataaars" and "=" not in run.recipe.name
    if preset is None or not is_known or rates.get(run.contestant) != run.sizes.learning_rate:
        return False
    return all(getattr(run.sizes, name) == getattr(preset, name) for name in ("image_size", "scale", "batch_size"))


def rehearsal(sizes: Sizes, max_steps: int) -> Sizes:
    """Sizes with which every part of a run is gone through as cheaply as can be; models stay as large as they are."""
    return dataclasses.replace(
        sizes, max_steps=max_steps, images=20, epochs=1, batch_size=2, samples=2, curve_samples=2, sweep_samples=2,
        judge_steps=3, validation_images=1, sampling_steps=2, budgets=(),
    )  # fmt: skip


def run_name(contestant: str, recipe: str, seed: int | str) -> str:
    """A run as a file is named after it, with nothing in it that a glob or a path takes for its own."""
    return f"{contestant.replace(':', '.')}-{recipe}-seed{seed}".translate(str.maketrans("[] /", "()__"))


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides the result of one contestant with one seed."""

    contestant: str
    seed: Count
    preset: str
    recipe: Recipe
    sizes: Sizes
    data: str
    data_hash: str
    device: str  # "cpu", "cuda" or "mps"
    mixed_precision: str  # "no", "bf16" or "fp16"
    memory_format: str  # "channels_last" or "contiguous": per contestant, whichever is faster
    processes: Count = 1  # that share each batch; the rounding of sums depends on their number
    budget_steps: tuple[Count, ...] = ()  # training steps of each of the sizes' budgets, as this machine's speed has it

    @property
    def name(self) -> str:
        """The name of the run's record and folder."""
        return run_name(self.contestant, self.recipe.name, self.seed)

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "RunConfig":
        recipe = dict(fields["recipe"])
        recipe["optimisation"] = Optimisation(**recipe["optimisation"])
        sizes = dict(fields["sizes"])
        sizes["budgets"] = tuple(Budget(**budget) for budget in sizes.get("budgets", ()))
        steps = tuple(fields.get("budget_steps", ()))
        return cls(**{**fields, "recipe": Recipe(**recipe), "sizes": Sizes(**sizes), "budget_steps": steps})


def differences(before: dict[str, Any], after: dict[str, Any], prefix: str = "") -> list[str]:
    """`field: old -> new` for every field in which two configurations differ."""
    found = []
    for key in before.keys() | after.keys():
        old, new = before.get(key), after.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += differences(old, new, f"{prefix}{key}.")
        elif old != new:
            found.append(f"{prefix}{key}: {old} -> {new}")
    return sorted(found)
