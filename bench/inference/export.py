"""`bench export`: a trained model as a folder that diffusers loads, with a model card."""

from pathlib import Path

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from safetensors import SafetensorError
from torch import nn

from bench import contestants
from bench.config import RunConfig
from bench.data.schema import Schema
from bench.errors import BadInput, CannotWrite, line_of
from bench.inference.load import Model, find_model
from bench.inference.pipeline import AvatarPipeline
from bench.record import Record
from bench.render.card import Exported, model_card
from bench.sampling.diffusion import sampler
from bench.storage import durable
from bench.storage.folder import ResultsFolder
from bench.storage.records import read_record

EXAMPLES = 64


def export(run: Path, contestant: str, recipe: str, seed: int | None, folder: Path) -> None:
    """Write the pipeline of a trained model to a new folder: all of it, or nothing."""
    model = find_model(run, contestants.contestant(contestant).name, recipe, seed)
    if not (model.config.recipe.one_hot and model.config.recipe.centred):
        raise BadInput(f"{model.config.name} sees other conditions or pixels than a pipeline gives: export another run")
    folder = folder.resolve()
    refuse_taken(folder)
    durable.check_writable(folder.parent)
    denoiser = model.denoiser()
    refuse_unless_model(denoiser, contestant)
    pipeline = pipeline_of(denoiser, model.config, model.schema, model.codes.numpy())
    card = model_card(described(run, model, denoiser))
    with durable.new_folder(folder) as unfinished:
        try:
            pipeline.save_pretrained(unfinished)
        except SafetensorError as error:  # how it tells of a full disk
            raise CannotWrite(folder, OSError(5, str(error))) from error
        durable.write_text(unfinished / "README.md", str(card))
        for path in unfinished.rglob("*.safetensors"):  # which are written for nobody else to read
            path.chmod((unfinished / "README.md").stat().st_mode)
        read_back(unfinished, denoiser, contestant)
        durable.sync_tree(unfinished)


def refuse_taken(folder: Path) -> None:
    """BadInput unless the folder is new or empty: nothing of anybody's is overwritten."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise BadInput(f"'{folder.name}' exists already: name a new folder, or remove it first")


def refuse_unless_model(denoiser: nn.Module, contestant: str) -> None:
    if not (isinstance(denoiser, ModelMixin) and isinstance(denoiser, ConfigMixin)):
        raise BadInput(
            f"contestant {contestant} builds a {type(denoiser).__name__}, which diffusers cannot save: derive it from "
            "diffusers' ModelMixin and ConfigMixin, with @register_to_config on its __init__"
        )


def pipeline_of(denoiser: nn.Module, config: RunConfig, schema: Schema, known: np.ndarray) -> AvatarPipeline:
    """The pipeline that draws as the harness did, with the first test avatars and one of every variant in it."""
    showing = [np.unique(column, return_index=True)[1] for column in known.T]  # the first that shows each variant
    rows = np.unique(np.concatenate([np.arange(min(EXAMPLES, len(known))), *showing]))
    return AvatarPipeline(
        denoiser,
        sampler(config.recipe),
        image_size=config.sizes.image_size,
        guidance_scale=config.recipe.guidance,
        num_inference_steps=config.recipe.sampling_steps,
        memory_format=config.memory_format,
        schema=schema.to_json(),
        examples=[schema.write(codes) for codes in known[rows]],
    )


def described(run: Path, model: Model, denoiser: nn.Module) -> Exported:
    """What the card tells of these weights."""
    record, why = record_of(run, model)
    return Exported(
        model.config,
        model.schema,
        module=None if contestants.is_ours(model.config.contestant) else type(denoiser).__module__,
        parameters=sum(parameter.numel() for parameter in denoiser.parameters()),
        steps=model.steps,
        record=record,
        unmeasured=why,
        rounded=model.rounded,
    )


def record_of(run: Path, model: Model) -> tuple[Record | None, str]:
    """The record of these very weights, or why there is none: committed records may be of a run made elsewhere."""
    folder, config = ResultsFolder(run).run(model.config.name), model.config
    for kept in (folder.finished, folder.record):
        if not kept.exists():
            continue
        record = read_record(kept)
        training = record.measurements.training
        if record.run == config and training is not None and training.main_steps == model.steps:
            return record, ""
        if record.run == config and record.status == "failed":
            return None, f"its run failed ({record.error})"
    return None, "its run has not finished"


def read_back(folder: Path, denoiser: nn.Module, contestant: str) -> None:
    """Load what was written; BadInput if a denoiser of a user's own does not come back as it was."""
    try:
        found = AvatarPipeline.from_pretrained(folder).denoiser.state_dict()
    except Exception as error:  # whatever a user's class does when it is loaded
        first = line_of(error)
        raise BadInput(
            f"contestant {contestant} cannot be loaded again ({first}): its module must hold its class, and import "
            "ModelMixin from diffusers by name"
        ) from error
    written = denoiser.state_dict()
    if found.keys() != written.keys() or not all(torch.equal(found[name], written[name]) for name in written):
        raise BadInput(
            f"contestant {contestant} is not the same when it is loaded again: its __init__ must make all of it from "
            "the arguments that @register_to_config keeps"
        )
