"""Do the samples show what was asked? Accuracy of every attribute, where it can be seen."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_accuracy

from bench import cache
from bench.data.dataset import AvatarSet, Split
from bench.data.schema import Schema
from bench.quality.classifier import AttributeClassifier, ClassifierConfig, train_classifier


def judge_path(split: Split, config: ClassifierConfig, folder: Path) -> Path:
    """Where the judge of this training set lies: its name is made of the images' content and its configuration."""
    key = json.dumps([split.train.content_hash, config.as_dict()])
    return folder / f"judge-{hashlib.sha256(key.encode()).hexdigest()[:24]}.safetensors"


def cached_judge(
    split: Split,
    config: ClassifierConfig,
    device: torch.device,
    folder: Path,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> AttributeClassifier:
    """The judge for this data: trained on real training images the first time, loaded after that."""
    path = judge_path(split, config, folder)
    found = load_judge(path, split.train.schema, device)
    if found is not None:
        return found
    for step, (model, loss) in enumerate(train_classifier(split.train, config, device)):
        trained = model
        on_step(step, loss)
    cache.write(path, trained.state_dict())
    return trained


def load_judge(path: Path, schema: Schema, device: torch.device) -> AttributeClassifier | None:
    """The judge that was cached; None if there is none or it is damaged."""
    found = cache.read(path)
    if found is None:
        return None
    model = AttributeClassifier(schema.cardinalities)
    model.load_state_dict(found[0])
    return model.to(device).to(memory_format=torch.channels_last)


def accuracies(predicted: Tensor, wanted: Tensor, shown: Tensor, schema: Schema) -> dict[str, float | None]:
    """Share of images that show the attribute wanted, over those where it can be seen; None where none can.

    All three are (N, A).
    """
    found: dict[str, float | None] = {}
    for i, attribute in enumerate(schema.attributes):
        rows = shown[:, i]
        found[attribute.name] = None
        if rows.any() and len(attribute.variants) > 1:
            found[attribute.name] = multiclass_accuracy(
                predicted[rows, i], wanted[rows, i], num_classes=len(attribute.variants), average="micro"
            ).item()
    return found


def macro(values: dict[str, float | None]) -> float | None:
    """Mean over the attributes that have a value."""
    known = [value for value in values.values() if value is not None]
    return fmean(known) if known else None


def commonest(train: AvatarSet) -> Tensor:
    """The variant seen most often in training for every attribute, where the attribute shows: codes (A,)."""
    columns = zip(train.codes.T, train.shown.T, strict=True)
    return torch.stack([column[rows].mode().values if rows.any() else column[0] for column, rows in columns])


def measure_attributes(judge: AttributeClassifier, generated: Tensor, asked: AvatarSet, split: Split) -> dict[str, Any]:
    """Accuracy of generated uint8 images for the conditions `asked`, with its ceiling and the chance level.

    The ceiling is the judge's accuracy on all held-out real images; chance always answers the commonest variant.
    """
    schema, held_out = split.train.schema, split.held_out
    guess = commonest(split.train).expand(len(held_out), -1)
    tables = {
        "accuracy": accuracies(judge.predict(generated), asked.codes, asked.shown, schema),
        "ceiling": accuracies(judge.predict(held_out.images), held_out.codes, held_out.shown, schema),
        "chance": accuracies(guess, held_out.codes, held_out.shown, schema),
    }
    return {
        "macro": {name: macro(values) for name, values in tables.items()},
        "per_attribute": {
            name: {table: values[name] for table, values in tables.items()} | {"scored": int(asked.shown[:, i].sum())}
            for i, name in enumerate(schema.names)
        },
        "samples": len(generated),
        "held_out": len(held_out),
    }
