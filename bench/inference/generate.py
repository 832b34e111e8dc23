"""`bench sample`: avatars with attributes of one's choice, from a run's newest checkpoint."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from bench import contestants
from bench.config import RunConfig, run_name
from bench.contestants import MEMORY_FORMATS
from bench.data.schema import Schema
from bench.environment import choose_device
from bench.errors import BadInput
from bench.inference.conditions import chosen_codes, is_shown_by_any
from bench.render.images.gallery import write_strip
from bench.sampling.draw import draw
from bench.storage import cache, durable
from bench.storage.checkpoint import Checkpoint, load_newest
from bench.storage.folder import ResultsFolder
from bench.training.optimisation import accelerator_for


def find_run(out: Path, contestant: str, recipe: str, seed: int | None = None) -> RunConfig:
    """The run of a contestant that was trained in this results folder, of the first seed unless one is named.

    BadInput if there is none.
    """
    name = run_name(contestant, recipe, "*" if seed is None else seed)
    folder = ResultsFolder(out)
    found = list(folder.begun_runs(name))
    if not found:
        which = recipe if seed is None else f"{recipe}, seed {seed}"
        here = ", ".join(sorted(run.name for run in folder.begun_runs()))
        remedy = f"it has {here}" if here else "they are not committed: run again, with an --out of its own"
        raise BadInput(f"'{out}' holds no checkpoint of {contestant} ({which}): {remedy}")
    try:
        begun = json.loads(found[0].config.read_text())
        return RunConfig.from_dict({name: value for name, value in begun.items() if name != "code"})
    except (ValueError, TypeError, KeyError) as error:
        raise BadInput(f"'{out}' was trained by another version of this code ({error}): train it again") from error


def held_out_codes(out: Path, config: RunConfig) -> tuple[Schema, Tensor]:
    """The schema of a run's data, and the codes (N, A) of the avatars that it held out."""
    kept = cache.read(ResultsFolder(out).run(config.name).held_out)
    if kept is None:
        raise BadInput(f"{config.name} has not begun to train: let its run finish an epoch first")
    return Schema.from_json(json.loads(kept[1]["schema"])), kept[0]["codes"]


def newest_checkpoint(out: Path, config: RunConfig) -> Checkpoint:
    """A run's newest checkpoint; BadInput if it has none yet."""
    checkpoint = load_newest(ResultsFolder(out).run(config.name).checkpoints)
    if checkpoint is None:
        raise BadInput(f"{config.name} has no checkpoint yet: let its run finish an epoch first")
    return checkpoint


def load_denoiser(checkpoint: Checkpoint, config: RunConfig, condition_width: int) -> nn.Module:
    """The denoiser of a checkpoint, with its averaged weights if it keeps an average."""
    sizes = config.sizes
    denoiser = contestants.build(config.contestant, condition_width, sizes.image_size, sizes.scale, config.seed)
    denoiser.load_state_dict(
        {name.removeprefix("model."): t for name, t in checkpoint.tensors.items() if name.startswith("model.")}
    )
    if config.recipe.ema_decay is not None:
        for index, parameter in enumerate(denoiser.parameters()):
            parameter.data.copy_(checkpoint.tensors[f"ema.{index}"])
    return denoiser.eval().to(memory_format=MEMORY_FORMATS[config.memory_format])


def ready(denoiser: nn.Module, config: RunConfig) -> tuple[nn.Module, torch.device]:
    """A loaded denoiser as its run drew with it, in the same precision; on another device if its own is not here."""
    try:
        device = choose_device(config.device)
    except BadInput:
        device = choose_device("auto")
        print(f"no {config.device} here: drawing on {device}, which may change a few pixels", file=sys.stderr)
    precision = "no" if device == "cpu" and config.mixed_precision == "fp16" else config.mixed_precision
    accelerator = accelerator_for(replace(config, device=device, mixed_precision=precision), 0)
    return accelerator.prepare_model(denoiser, evaluation_mode=True), accelerator.device


def generate(
    out: Path,
    contestant: str,
    recipe: str,
    attributes: str,
    guidance: float | None,
    count: int,
    seed: int,
    picture: Path,
) -> None:
    """Write a grid of `count` samples to `picture`."""
    durable.check_writable(picture.parent)
    config = find_run(out, contestants.contestant(contestant).name, recipe)
    schema, real = held_out_codes(out, config)
    codes = chosen_codes(schema, real, attributes, count, seed)
    if not is_shown_by_any(schema, real, attributes):  # not refused: it may be rare, and it may be why someone asks
        print(f"none of the {len(real)} held-out avatars has all of that: the rest is of the nearest", file=sys.stderr)
    condition = torch.from_numpy(schema.binarise(codes.numpy()))
    denoiser, device = ready(load_denoiser(newest_checkpoint(out, config), config, schema.width), config)
    images = draw(denoiser, config, condition, device, guidance, seed=seed)
    write_strip(picture, images, columns=min(8, count))
