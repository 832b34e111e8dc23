"""A trained model of a results folder: found by its name, with its weights, ready to draw."""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from bench import contestants
from bench.config import RunConfig, run_name
from bench.contestants import MEMORY_FORMATS
from bench.data.schema import Schema
from bench.environment import choose_device
from bench.errors import BadInput
from bench.storage import cache
from bench.storage.checkpoint import Checkpoint, load_newest
from bench.storage.folder import ResultsFolder, RunFolder
from bench.storage.records import read_record
from bench.storage.weights import committed_weights, read_weights
from bench.training.optimisation import accelerator_for


@dataclass(frozen=True)
class Model:
    """A trained denoiser's weights, with what its run was, how far it had come, and test conditions to begin from."""

    config: RunConfig
    weights: dict[str, Tensor]
    steps: int
    schema: Schema
    codes: Tensor  # (N, A)
    rounded: bool = False  # to half precision, as weights are committed

    def denoiser(self) -> nn.Module:
        """The model that these weights are of, ready to be asked."""
        config, sizes = self.config, self.config.sizes
        model = contestants.build(config.contestant, self.schema.width, sizes.image_size, sizes.scale, config.seed)
        model.load_state_dict(self.weights)
        return model.eval().to(memory_format=MEMORY_FORMATS[config.memory_format])


def steps_of(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def find_model(out: Path, contestant: str, recipe: str, seed: int | None = None) -> Model:
    """The model of a contestant in a results folder, of the first seed unless one is named.

    Of the finished models that of the main budget; else the newest checkpoint; else the weights that were committed.
    BadInput if there is none.
    """
    folder, name = ResultsFolder(out), run_name(contestant, recipe, "*" if seed is None else seed)
    refusals = []
    for run in folder.begun_runs(name):
        try:
            return begun_model(run, begun_config(run))
        except BadInput as error:  # another seed, or the committed weights, may have what this run has not yet
            refusals.append(error)
    for path in folder.committed_weights(name):
        return committed_model(folder, path)
    if refusals:
        raise refusals[0]
    which = recipe if seed is None else f"{recipe}, seed {seed}"
    here = sorted({run.name for run in folder.begun_runs()} | {path.stem for path in folder.committed_weights()})
    remedy = f"it has {', '.join(here)}" if here else "they are not committed: run again, with an --out of its own"
    raise BadInput(f"'{out}' holds no weights of {contestant} ({which}): {remedy}")


def begun_config(run: RunFolder) -> RunConfig:
    """What a run here began with; BadInput if another version of this code wrote it."""
    try:
        begun = json.loads(run.config.read_text())
        return RunConfig.from_dict({name: value for name, value in begun.items() if name != "code"})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadInput(f"'{run.out}' was trained by another version of this code ({error}): train it again") from error


def begun_model(run: RunFolder, config: RunConfig) -> Model:
    """The finished model of a run's main budget, or its newest checkpoint; BadInput if it has neither yet."""
    kept = cache.read(run.test)
    if kept is None:
        raise BadInput(f"{config.name} has not begun to train: let its run finish an epoch first")
    schema, codes = Schema.from_json(json.loads(kept[1]["schema"])), kept[0]["codes"]
    if (path := main_weights(run, config)) is not None:
        return Model(config, read_weights(path), steps_of(path), schema, codes)
    checkpoint = load_newest(run.checkpoints)
    if checkpoint is None:
        raise BadInput(f"{config.name} has no checkpoint yet: let its run finish an epoch first")
    return Model(config, averaged(checkpoint, config, schema), checkpoint.state["log"]["steps_done"], schema, codes)


def main_weights(run: RunFolder, config: RunConfig) -> Path | None:
    """The file of the model that was finished at the main budget, once it is."""
    if not config.budget_steps:
        return next(reversed(run.finished_weights()), None)
    path = run.weights(config.budget_steps[0])
    return path if path.exists() else None


def averaged(checkpoint: Checkpoint, config: RunConfig, schema: Schema) -> dict[str, Tensor]:
    """The weights of a checkpoint by name: their average, if one is kept."""
    found = {name.removeprefix("model."): t for name, t in checkpoint.tensors.items() if name.startswith("model.")}
    if config.recipe.ema_decay is None:
        return found
    sizes = config.sizes
    model = contestants.build_on_meta(config.contestant, schema.width, sizes.image_size, sizes.scale)
    names = [name for name, _ in model.named_parameters()]
    return found | {name: checkpoint.tensors[f"ema.{index}"] for index, name in enumerate(names)}


def committed_model(folder: ResultsFolder, path: Path) -> Model:
    """A model whose weights and record were committed."""
    record = read_record(folder.record(path.stem))
    weights, codes, schema = committed_weights(path)
    training = record.measurements.training
    steps = 0 if training is None or training.main_steps is None else training.main_steps
    return Model(record.run, weights, steps, Schema.from_json(json.loads(schema)), codes, rounded=True)


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
