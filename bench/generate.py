"""`bench sample`: avatars with attributes of one's choice, from a run's newest checkpoint."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bench import contestants, randomness
from bench.checkpoint import load_newest
from bench.config import RunConfig, run_name
from bench.data.schema import Schema
from bench.environment import choose_device
from bench.errors import BadInput
from bench.record import read_record, record_path
from bench.render.gallery import write_strip
from bench.sampling import draw


def find_run(out: Path, contestant: str, recipe: str) -> RunConfig:
    """The first seed of a contestant that was trained in this results folder; BadInput if there is none."""
    found = sorted((out / ".work").glob(f"{run_name(contestant, recipe, '*')}/config.json"))
    if not found:
        raise BadInput(
            f"'{out}' holds no checkpoint of {contestant} ({recipe}): `python -m bench run --out {out}` makes one"
        )
    return RunConfig.from_dict(json.loads(found[0].read_text()))


def chosen_codes(schema: Schema, attributes: str, count: int, seed: int) -> np.ndarray:
    """Codes (count, A): the attributes asked for, the others drawn at random among what can be seen."""
    wanted = schema.parse(attributes)
    rows = []
    for index in range(count):
        draws = torch.rand(len(schema.attributes), generator=randomness.generator(seed, "attributes", index))
        row = []
        for attribute, u in zip(schema.attributes, draws.tolist(), strict=True):
            choices = [i for i in range(len(attribute.variants)) if i != attribute.hidden_code]
            row.append(wanted.get(attribute.name, choices[int(u * len(choices))]))
        rows.append(row)
    return np.array(rows, dtype=np.int64)


def load_denoiser(out: Path, config: RunConfig, condition_width: int) -> nn.Module:
    """The denoiser of a run's newest checkpoint, with its averaged weights if it keeps an average."""
    checkpoint = load_newest(out / ".work" / config.name / "checkpoints")
    if checkpoint is None:
        raise BadInput(f"{config.name} has no checkpoint yet: `python -m bench run --out {out}` makes one")
    sizes = config.sizes
    denoiser = contestants.build(config.contestant, condition_width, sizes.image_size, sizes.scale, config.seed)
    denoiser.load_state_dict(
        {name.removeprefix("model."): t for name, t in checkpoint.tensors.items() if name.startswith("model.")}
    )
    if config.recipe.ema_decay is not None:
        for index, parameter in enumerate(denoiser.parameters()):
            parameter.data.copy_(checkpoint.tensors[f"ema.{index}"])
    return denoiser.eval()


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
    config = find_run(out, contestant, recipe)
    schema = Schema.from_json(read_record(record_path(out, config)).data["schema"])
    condition = torch.from_numpy(schema.binarise(chosen_codes(schema, attributes, count, seed)))
    device = torch.device(choose_device("auto"))
    denoiser = load_denoiser(out, config, schema.width).to(device)
    images = draw(denoiser, config, condition, device, guidance, seed=seed)
    write_strip(picture, images, columns=min(8, count))
