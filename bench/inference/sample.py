"""`bench sample`: avatars with attributes of one's choice, from a trained model of a results folder."""

import sys
from pathlib import Path

import torch

from bench import contestants
from bench.inference.conditions import chosen_codes, is_shown_by_any
from bench.inference.load import find_model, ready
from bench.render.images.gallery import write_strip
from bench.sampling.draw import draw
from bench.storage import durable


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
    model = find_model(out, contestants.contestant(contestant).name, recipe)
    schema, config = model.schema, model.config
    codes = chosen_codes(schema, model.codes, attributes, count, seed)
    if not is_shown_by_any(schema, model.codes, attributes):  # not refused: it may be rare, and why someone asks
        print(
            "no test avatar has all these attributes; the others are taken from the avatars that have most of them",
            file=sys.stderr,
        )
    condition = torch.from_numpy(schema.encode(codes.numpy(), config.recipe.one_hot))
    denoiser, device = ready(model.denoiser(), config)
    images = draw(denoiser, config, condition, device, guidance, seed=seed)
    write_strip(picture, images, columns=min(8, count))
