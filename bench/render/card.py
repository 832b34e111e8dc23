"""The model card of an exported pipeline: what it is, how to draw with it, and what was measured of these weights."""

from dataclasses import dataclass

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from bench.config import RunConfig
from bench.data.schema import Schema
from bench.record import Record
from bench.render.markdown import escape, markdown
from bench.render.table.column import Column
from bench.render.table.distance_rows import distance_rows
from bench.render.table.legend import data_note, environment_note, scoring_note, training_note
from bench.render.table.quality_rows import ATTRIBUTE_ROWS
from bench.render.table.row import MISSING
from bench.render.table.table import ARROWS, cell

HARDLY = 0.3  # normalised attribute accuracy below which a card says so
AVATAAARS = "Avataaars by Pablo Stanley, free for personal and commercial use"
CARTOON_SET = (
    "a data set in the layout of Google's Cartoon Set; that one is by Google, licensed CC BY 4.0, and anything drawn "
    "from it has to name Google. If these were other data, ask those who made them"
)


@dataclass(frozen=True)
class Exported:
    """What the card tells of: weights, where they come from, and the record of them, if they have one."""

    config: RunConfig
    schema: Schema
    module: str | None  # to be imported before the pipeline is loaded; None for our own
    parameters: int
    steps: int  # of training
    record: Record | None  # only of these very weights
    unmeasured: str = ""  # why there is no record
    rounded: bool = False  # to half precision, after they were measured


def model_card(exported: Exported) -> ModelCard:
    """The card, its metadata with a model-index if these weights were measured."""
    config, record = exported.config, exported.record
    metadata = ModelCardData(
        license="mit" if exported.module is None else "other",
        library_name="diffusers",
        tags=["diffusers", "diffusion", "avatars", "attribute-conditioned", config.contestant],
        model_name=config.name,
        eval_results=results(record) if record else None,
    )
    sections = [
        f"# {escape(config.name)}",
        introduction(exported),
        "## How to draw\n\n" + usage(exported),
        "## What can be asked\n\n" + askable(exported.schema),
        "## How it was trained\n\n" + training(exported),
        "## What was measured\n\n" + (measured(record) if record else f"Nothing: {escape(exported.unmeasured)}."),
        "## Limitations\n\n" + limitations(exported),
        "## Licences\n\n" + licences(exported),
    ]
    return ModelCard(f"---\n{metadata.to_yaml()}\n---\n\n" + "\n\n".join(sections) + "\n")


def introduction(exported: Exported) -> str:
    size, scale = exported.config.sizes.image_size, exported.config.sizes.scale
    return (
        f"Draws cartoon avatars of {size}×{size} pixels that show the attributes asked for: a diffusion UNet with Tau, "
        f"which turns attributes into context tokens, {exported.parameters:,} parameters in all ({scale:g} of the "
        "published channels). It is one contestant of a comparison between a hand-written UNet and diffusers' "
        f"(`{exported.config.contestant}`)."
    )


def usage(exported: Exported) -> str:
    """How to load the pipeline and draw with it, in a process that knows nothing yet."""
    first, second = exported.schema.attributes[0], exported.schema.attributes[-1]
    own = f"import {exported.module}  # the denoiser's own package\n" if exported.module else ""
    return f"""It needs the package `unet-by-hand` of that comparison, installed from its checkout (`pip install -e .`).

```python
import torch
{own}from bench.inference.pipeline import AvatarPipeline

pipeline = AvatarPipeline.from_pretrained("path/to/this/folder")
asked = {{"{first.name}": "{first.variants[0]}", "{second.name}": "{second.variants[0]}"}}
images = pipeline([asked] * 4, generator=torch.Generator().manual_seed(0)).images
images[0].save("avatar.png")
```

{completion(exported.schema)}"""


def completion(schema: Schema) -> str:
    return (
        "What is not asked is taken from a real avatar, one of those held out from training that `model_index.json` "
        "keeps: attributes depend on each other (a hat hides the hair). The generator's seed picks it. A tensor "
        f"(B, {schema.width}) of binarised attributes, one-hot groups side by side, is drawn as it is. "
        "`guidance_scale` and `num_inference_steps` are by default those of the training recipe."
    )


def askable(schema: Schema) -> str:
    lines = [f"`{a.name}`: {', '.join(f'`{variant}`' for variant in a.variants)}" for a in schema.attributes]
    return "\n".join(f"- {escape(line)}" for line in lines)


def training(exported: Exported) -> str:
    config, record, recipe = exported.config, exported.record, exported.config.recipe
    optimisation, sizes = recipe.optimisation, config.sizes
    weights = "raw" if recipe.ema_decay is None else f"averaged (EMA, decay {recipe.ema_decay:g})"
    lines = [
        f"{exported.steps:,} steps in batches of {sizes.batch_size}, over a data set of {sizes.images} images of which "
        f"some are kept for validation and test; {optimisation.optimizer} with a {optimisation.schedule} schedule from "
        f"{sizes.learning_rate:g}; seed {config.seed}; these are the {weights} weights.",
        f"Recipe {recipe.name}: {recipe.timesteps} timesteps, β from {recipe.beta_start:g} to {recipe.beta_end:g}, "
        f"{recipe.prediction}, conditions dropped with probability {recipe.condition_dropout:g}; drawn by "
        f"{recipe.sampler.upper()} in {recipe.sampling_steps} steps with guidance {recipe.guidance:g}.",
    ]
    if record:
        column = Column(record.run.contestant, [record])
        lines += [training_note(record, [column]), data_note(record), environment_note(record)]
        lines += [f"Trained and measured by `{record.command}`."]
    else:
        lines += [f"Data: {config.data}, content {config.data_hash[:12]}."]
    return "\n".join(f"- {escape(line)}" for line in lines)


def measured(record: Record) -> str:
    """The rows of the comparison's table that tell of quality, as they stand there."""
    column = Column(record.run.contestant, [record])
    rows = [(row, cell(row, column).text) for row in (*distance_rows([record]), *ATTRIBUTE_ROWS)]
    lines = [[f"{row.label}{ARROWS[row.better]}", text, row.meaning] for row, text in rows if text != MISSING]
    table = markdown(["measure", "value (95 % interval over samples)", "what it tells"], lines)
    return f"{table}\n\n{escape(scoring_note(record))}"


def results(record: Record) -> list[EvalResult]:
    """Raw numbers of quality, each with what it rests on; what was not measured is left out."""
    found = []
    for distance in record.measurements.distance.values():
        basis = f"{distance.generated} generated against {distance.real} real"
        split, kid = distance.split, None if distance.kid is None else distance.kid.value
        found += [
            result(record, "frechet_distance", f"{distance.title}, {basis}", distance.frechet_distance, split),
            result(record, "kid", f"KID of the same features as {distance.title}, {basis}", kid, split),
        ]
    scored = record.measurements.attributes
    if scored is not None and scored.macro.ceiling is not None:
        name = f"attribute accuracy, macro, by a classifier (its ceiling on real images is {scored.macro.ceiling:.3f})"
        found.append(result(record, "accuracy", name, scored.macro.accuracy, "held-out, the conditions asked"))
    return [one for one in found if one.metric_value is not None]


def result(record: Record, kind: str, name: str, value: float | None, split: str) -> EvalResult:
    run = record.run
    return EvalResult(
        task_type="image-generation",
        task_name="avatars with the attributes asked for",
        dataset_type=run.data,
        dataset_name=f"{run.data}, {run.sizes.image_size}×{run.sizes.image_size}",
        dataset_split=split,
        dataset_revision=run.data_hash,
        metric_type=kind,
        metric_name=name,
        metric_value=value,
    )


def limitations(exported: Exported) -> str:
    size = exported.config.sizes.image_size
    lines = [
        f"It draws nothing but avatars in the style of its data, at {size}×{size}, and only the attributes above.",
        "A combination that its data never show is drawn anyhow, and may come out as something else.",
        "It is one model of one seed: two seeds differ, so a comparison needs several.",
        "A Fréchet distance is only the usual FID where Inception is its extractor; others compare with their like.",
        "The same seeds give the same pixels on one kind of machine with the same versions and the same batch; "
        "elsewhere they are alike to the eye.",
    ]
    precision = exported.config.mixed_precision
    if precision != "no":
        lines.append(f"Trained and measured in {precision}; the pipeline draws in fp32, which changes a few pixels.")
    if exported.record and exported.rounded:
        lines.append("The weights were rounded to half precision after they were measured: images differ a little.")
    if exported.record and (shown := share_shown(exported.record)) < HARDLY:
        lines.insert(0, f"It hardly shows what is asked: {100 * shown:.0f} % of the way from guessing to real images.")
    if exported.record is None:
        lines.insert(0, "How good it is, nobody has measured.")
    return "\n".join(f"- {line}" for line in lines)


def share_shown(record: Record) -> float:
    """How far the samples are on the way from guessing to real images."""
    scored = record.measurements.attributes
    return 0 if scored is None else scored.macro.normalised or 0


def licences(exported: Exported) -> str:
    """Of code and weights, ours or a user's own, and of the data."""
    data = exported.config.data
    drawn = AVATAAARS if data == "avataaars" else escape(f"`{data}`, {CARTOON_SET}")
    theirs = f"`{exported.module}` and these weights: as their author says; the harness is under the MIT licence"
    ours = "Weights and code: MIT" if exported.module is None else theirs
    return f"- {ours}.\n- Data that it was trained on: {drawn}."
