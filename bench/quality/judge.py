"""The attribute classifier of a data set, trained once and found again by content."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import torch

from bench.data.dataset import Split
from bench.data.schema import Schema
from bench.quality.classifier import AttributeClassifier, ClassifierConfig, train_classifier
from bench.storage import cache


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
    cache.write(path, trained.state_dict(), {"name": path.name})
    return trained


def load_judge(path: Path, schema: Schema, device: torch.device) -> AttributeClassifier | None:
    """The judge that was cached; None if there is none or it is damaged."""
    found = cache.read(path)
    if found is None or found[1].get("name") != path.name:
        return None
    model = AttributeClassifier(schema.cardinalities)
    model.load_state_dict(found[0])
    return model.to(device).to(memory_format=torch.channels_last)
