"""What a run is: frozen recipes, presets and the complete configuration of one run."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from bench.errors import BadInput, known


@dataclass(frozen=True)
class Optimisation:
    """How the weights are updated; the schedule's names are those of diffusers' `get_scheduler`, or "step"."""

    optimizer: Literal["adam", "adamw"]
    schedule: Literal["cosine", "step"]
    weight_decay: float = 0.0
    warmup_share: float = 0.0  # of all steps
    step_epochs: int = 1  # "step": the rate falls every so many epochs …
    step_factor: float = 1.0  # … to this share of what it was


@dataclass(frozen=True)
class Recipe:
    """How a denoiser is trained and sampled, but for the sizes that a preset sets."""

    name: str
    timesteps: int
    beta_start: float
    beta_end: float
    prediction: Literal["epsilon", "v_prediction"]
    condition_dropout: float
    ema_decay: float | None  # None: no average is kept, the raw weights are scored
    sampler: Literal["ddim", "ddpm"]
    sampling_steps: int
    clip_sample: bool
    guidance: float
    optimisation: Optimisation


MATCHED = Recipe(
    name="matched",
    timesteps=300,
    beta_start=1e-4,
    beta_end=0.035,  # ᾱ_T ≈ 0.005: sampling may start from pure noise
    prediction="v_prediction",
    condition_dropout=0.1,
    ema_decay=0.995,
    sampler="ddim",
    sampling_steps=30,
    clip_sample=True,
    guidance=2.0,
    optimisation=Optimisation("adamw", "cosine", weight_decay=0.01, warmup_share=0.05),
)

SOURCE = dataclasses.replace(
    MATCHED,
    name="source",
    beta_end=0.008,  # ᾱ_T ≈ 0.30: never pure noise, as published
    prediction="epsilon",
    ema_decay=None,
    sampler="ddpm",
    sampling_steps=300,
)

# The source names these optimisers and schedules and gives no constants; those are ours and stand in the record.
ADAM_STEP = Optimisation("adam", "step", step_epochs=2, step_factor=0.7)
ADAMW_COSINE = Optimisation("adamw", "cosine", weight_decay=0.01, warmup_share=0.05)
SOURCE_OPTIMISATION = {
    "scratch": ADAM_STEP,
    "diffusers-32": ADAMW_COSINE,
    "diffusers-16": ADAMW_COSINE,
    "diffusers-8": ADAMW_COSINE,
}

RECIPES = {"matched": MATCHED, "source": SOURCE}
CONTESTANTS = ("scratch", "diffusers-32", "diffusers-16", "diffusers-8")  # in the order of the table's columns
DEFAULT_CONTESTANTS = "scratch,diffusers-32"  # the two columns of the source's table


def contestant_names(text: str) -> list[str]:
    """`scratch,diffusers-32` or `all` to names, each once; BadInput for one that is neither ours nor a user's path."""
    chosen = CONTESTANTS if text == "all" else [part.strip() for part in text.split(",") if part.strip()]
    if not chosen:
        raise BadInput(f"no contestant named: choose from {', '.join(CONTESTANTS)}")
    return [name if ":" in name else known(name, CONTESTANTS, "contestant") for name in dict.fromkeys(chosen)]


def recipe_for(name: str, contestant: str) -> Recipe:
    """A recipe as it applies to a contestant; BadInput where `source` has published nothing for it."""
    if name == "source":
        if contestant not in SOURCE_OPTIMISATION:
            raise BadInput(f"recipe 'source' publishes nothing for '{contestant}': use --recipe matched")
        return dataclasses.replace(SOURCE, optimisation=SOURCE_OPTIMISATION[contestant])
    return RECIPES[name]


@dataclass(frozen=True)
class Sizes:
    """What a preset sets: how big the models, the data and the evaluation are."""

    image_size: int
    scale: float  # 1 = the published number of channels
    images: int  # of the data set; a tenth is held out
    epochs: int
    batch_size: int
    learning_rate: float
    samples: int  # generated and scored
    curve_samples: int  # generated and scored after every epoch
    sweep_samples: int  # generated and scored at every guidance scale, and by the full sampler
    judge_steps: int  # training steps of the attribute classifier


PRESETS = {
    # A first look, and CI: everything happens, nothing is learned well.
    "smoke": Sizes(
        image_size=32,
        scale=1 / 8,
        images=500,
        epochs=2,
        batch_size=16,
        learning_rate=2e-3,
        samples=32,
        curve_samples=16,
        sweep_samples=8,
        judge_steps=200,
    ),
    # Samples that match their conditions, on two CPU cores under an hour. Small batches: steps teach more than images.
    "laptop": Sizes(
        image_size=32,
        scale=1 / 8,
        images=10_000,
        epochs=7,
        batch_size=16,
        learning_rate=3e-3,
        samples=512,
        curve_samples=64,
        sweep_samples=64,
        judge_steps=1500,
    ),
    # The published scale, for an accelerator.
    "full": Sizes(
        image_size=64,
        scale=1.0,
        images=30_000,  # so that 2,000 are held out to be asked, and 1,000 more for the real side
        epochs=10,
        batch_size=128,
        learning_rate=2e-4,
        samples=2000,
        curve_samples=256,
        sweep_samples=256,
        judge_steps=3000,
    ),
}


def run_name(contestant: str, recipe: str, seed: int | str) -> str:
    return f"{contestant.replace(':', '.')}-{recipe}-seed{seed}"


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides the result of one contestant with one seed."""

    contestant: str
    seed: int
    preset: str
    recipe: Recipe
    sizes: Sizes
    data: str
    data_hash: str
    device: str  # "cpu", "cuda" or "mps"
    mixed_precision: str  # "no", "bf16" or "fp16"
    memory_format: str  # "channels_last" or "contiguous": per contestant, whichever is faster
    processes: int = 1  # that share each batch; the rounding of sums depends on their number

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
        return cls(**{**fields, "recipe": Recipe(**recipe), "sizes": Sizes(**fields["sizes"])})


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
