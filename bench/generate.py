"""`bench sample`: avatars with attributes of one's choice, from a run's newest checkpoint."""

import json
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from bench import cache, contestants, durable, randomness
from bench.batches import MEMORY_FORMATS
from bench.attributes import ASKED
from bench.checkpoint import load_newest
from bench.config import RunConfig, run_name
from bench.data.schema import Schema
from bench.environment import choose_device
from bench.errors import BadInput
from bench.render.gallery import write_strip
from bench.sampling import draw


def find_run(out: Path, contestant: str, recipe: str) -> RunConfig:
    """The first seed of a contestant that was trained in this results folder; BadInput if there is none."""
    found = sorted((out / ".work").glob(f"{run_name(contestant, recipe, '*')}/config.json"))
    if not found:
        raise BadInput(
            f"'{out}' holds no checkpoint of {contestant} ({recipe}), they are not committed: train it here first, "
            "with the command that stands below the folder's table and an --out of its own"
        )
    try:
        begun = json.loads(found[0].read_text())
        return RunConfig.from_dict({name: value for name, value in begun.items() if name != "code"})
    except (TypeError, KeyError) as error:
        raise BadInput(f"'{out}' was trained by another version of this code ({error}): train it again") from error


def chosen_codes(schema: Schema, real: Tensor, attributes: str, count: int, seed: int) -> Tensor:
    """Codes (count, A): real held-out avatars that show as much as possible of what is asked, with the rest of it set.

    Attributes depend on each other (a hat hides the hair), so the ones not asked for are never drawn one by one.
    """
    wanted = schema.parse(attributes)
    columns = [schema.names.index(name) for name in wanted]
    asked = torch.tensor(list(wanted.values()), dtype=real.dtype)
    agreeing = (real[:, columns] == asked).sum(1)
    if agreeing.max() < len(wanted):  # not refused: it may be rare, and it may be why someone asks
        print(
            f"none of the {len(real)} held-out avatars is like that: what is asked may exclude itself", file=sys.stderr
        )
    order = torch.randperm(len(real), generator=randomness.generator(seed, "conditions"))
    best = order[agreeing[order].argsort(descending=True, stable=True)]
    codes = real[best[torch.arange(count) % len(best)]].clone()
    codes[:, columns] = asked
    return codes


def load_denoiser(out: Path, config: RunConfig, condition_width: int) -> nn.Module:
    """The denoiser of a run's newest checkpoint, with its averaged weights if it keeps an average."""
    checkpoint = load_newest(out / ".work" / config.name / "checkpoints")
    if checkpoint is None:
        raise BadInput(f"{config.name} has no checkpoint yet: let its run finish an epoch first")
    sizes = config.sizes
    denoiser = contestants.build(config.contestant, condition_width, sizes.image_size, sizes.scale, config.seed)
    denoiser.load_state_dict(
        {name.removeprefix("model."): t for name, t in checkpoint.tensors.items() if name.startswith("model.")}
    )
    if config.recipe.ema_decay is not None:
        for index, parameter in enumerate(denoiser.parameters()):
            parameter.data.copy_(checkpoint.tensors[f"ema.{index}"])
    return denoiser.eval().to(memory_format=MEMORY_FORMATS[config.memory_format])


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
    kept = cache.read(out / ".work" / config.name / ASKED)
    if kept is None:
        raise BadInput(f"{config.name} has not begun to train: let its run finish an epoch first")
    schema = Schema.from_json(json.loads(kept[1]["schema"]))
    codes = chosen_codes(schema, kept[0]["codes"], attributes, count, seed)
    condition = torch.from_numpy(schema.binarise(codes.numpy()))
    device = torch.device(choose_device("auto"))
    denoiser = load_denoiser(out, config, schema.width).to(device)
    images = draw(denoiser, config, condition, device, guidance, seed=seed)
    write_strip(picture, images, columns=min(8, count))
