"""`bench export`: a run's newest checkpoint as a folder that diffusers loads, with a model card."""

import json
from pathlib import Path

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from safetensors import SafetensorError
from torch import nn

from bench import contestants
from bench.config import RunConfig
from bench.data.schema import Schema
from bench.errors import BadInput, CannotWrite
from bench.inference.generate import find_run, held_out_codes, load_denoiser, newest_checkpoint
from bench.inference.pipeline import AvatarPipeline
from bench.record import Record, read_record
from bench.render.card import Exported, model_card
from bench.sampling.diffusion import sampler
from bench.storage import durable
from bench.storage.checkpoint import Checkpoint
from bench.storage.folder import ResultsFolder

EXAMPLES = 64


def export(run: Path, contestant: str, recipe: str, seed: int | None, folder: Path) -> None:
    """Write the pipeline of a run's newest checkpoint to a new folder: all of it, or nothing."""
    config = find_run(run, contestants.contestant(contestant).name, recipe, seed)
    folder = folder.resolve()
    refuse_taken(folder)
    durable.check_writable(folder.parent)
    schema, held_out = held_out_codes(run, config)
    checkpoint = newest_checkpoint(run, config)
    denoiser = load_denoiser(checkpoint, config, schema.width)
    refuse_unless_model(denoiser, contestant)
    pipeline = pipeline_of(denoiser, config, schema, held_out.numpy())
    card = model_card(described(run, config, schema, checkpoint, denoiser))
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


def pipeline_of(denoiser: nn.Module, config: RunConfig, schema: Schema, held_out: np.ndarray) -> AvatarPipeline:
    """The pipeline that draws as the harness did, with the first held-out avatars and one of every variant in it."""
    showing = [np.unique(column, return_index=True)[1] for column in held_out.T]  # the first that shows each variant
    rows = np.unique(np.concatenate([np.arange(min(EXAMPLES, len(held_out))), *showing]))
    return AvatarPipeline(
        denoiser,
        sampler(config.recipe),
        image_size=config.sizes.image_size,
        guidance_scale=config.recipe.guidance,
        num_inference_steps=config.recipe.sampling_steps,
        memory_format=config.memory_format,
        schema=schema.to_json(),
        examples=[schema.write(codes) for codes in held_out[rows]],
    )


def described(run: Path, config: RunConfig, schema: Schema, checkpoint: Checkpoint, denoiser: nn.Module) -> Exported:
    """What the card tells of these weights."""
    record, why = record_of(run, config, checkpoint)
    return Exported(
        config,
        schema,
        module=None if config.contestant in contestants.OURS else type(denoiser).__module__,
        parameters=sum(parameter.numel() for parameter in denoiser.parameters()),
        epochs=checkpoint.state["log"]["epochs_done"],
        record=record,
        unmeasured=why,
    )


def record_of(run: Path, config: RunConfig, checkpoint: Checkpoint) -> tuple[Record | None, str]:
    """The record of these very weights, or why there is none: committed records may be of a run made elsewhere."""
    kept, row = (folder := ResultsFolder(run).run(config.name)).finished, folder.record
    if kept.exists():
        record = read_record(kept)
        if record.measurements["training"]["steps_done"] == checkpoint.state["log"]["steps_done"]:
            return record, ""
        return None, "its last checkpoint is damaged, and these weights are of the one before"
    if row.exists() and (failed := read_record(row)).status == "failed" and failed.config == as_json(config):
        return None, f"its run failed ({failed.error})"
    return None, "its run has not finished"


def as_json(config: RunConfig) -> dict:
    return json.loads(json.dumps(config.as_dict()))


def read_back(folder: Path, denoiser: nn.Module, contestant: str) -> None:
    """Load what was written; BadInput if a denoiser of a user's own does not come back as it was."""
    try:
        found = AvatarPipeline.from_pretrained(folder).denoiser.state_dict()
    except Exception as error:  # whatever a user's class does when it is loaded
        first = str(error).strip().splitlines()[0]
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
