"""A denoiser trained, sampled and scored in this process, as in a notebook; `bench run` does the same with records."""

import copy
import itertools
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from bench import contestants
from bench.config import MATCHED, PRESETS, RunConfig, Sizes
from bench.data.library import DataRequest, cache_path, default_cache, load
from bench.data.splits import Split, asked_of, split
from bench.environment import choose_device
from bench.errors import BadInput
from bench.quality.classifier import ClassifierConfig, cached_classifier
from bench.quality.features import EFFICIENTNET
from bench.quality.score import Extraction, Scorer
from bench.sampling.draw import draw
from bench.training.trainer import Trainer

WARM_UP, TIMED = 2, 3  # steps before training, by which its seconds become steps


def load_data(images: int = 2000, image_size: int = 32, source: str = "avataaars", cache: Path | None = None) -> Split:
    """Avatars with their attributes, some kept for validation and test; drawn here, or a Cartoon Set at `source`."""
    request = DataRequest(source, images, image_size)
    return split(load(request, cache_path(request, cache or default_cache())))


def build(contestant: str, data: Split, scale: float = 1 / 8, seed: int = 0) -> nn.Module:
    """A contestant by its name (`scratch`, `diffusers-32`, `package.module:function`), made for these data."""
    return contestants.build(contestant, data.train.schema.width, data.train.image_size, scale, seed)


@dataclass(frozen=True)
class Trained:
    """A trained denoiser beside the data that it was trained on."""

    trainer: Trainer
    data: Split

    def sample(self, count: int = 64, guidance: float | None = None) -> Tensor:
        """uint8 images (count, 3, H, W) for held-out attributes, by the weights that are scored; each time the same."""
        conditions = asked_of(self.data, count).conditions
        with self.trainer.averaged() as denoiser:
            return draw(denoiser, self.trainer.config, conditions, torch.device(self.trainer.config.device), guidance)

    def score(self, images: Tensor, classifier_steps: int = 500, cache: Path | None = None) -> pd.Series:
        """What samples are worth: the attributes that they show, by a classifier, and their distance to real images."""
        device, folder = torch.device(self.trainer.config.device), cache or default_cache()
        classifier = cached_classifier(self.data, ClassifierConfig(steps=classifier_steps), device, folder)
        extraction = Extraction({EFFICIENTNET: None}, str(device), folder)
        found = Scorer(classifier, self.data, asked_of(self.data, len(images)), extraction).score(images)
        accuracy = found["attributes"]["macro"]
        shown = {
            "attribute accuracy": accuracy["accuracy"],
            "its ceiling (real images)": accuracy["ceiling"],
            "its chance level": accuracy["chance"],
            "Fréchet distance": found["distance"][EFFICIENTNET]["frechet_distance"],
        }
        return pd.Series(shown, name=self.trainer.config.contestant)


def train(
    denoiser: nn.Module,
    data: Split,
    seconds: float = 60.0,
    batch_size: int = 16,
    learning_rate: float = 2e-3,
    seed: int = 0,
    device: str = "auto",
) -> Trained:
    """Train a denoiser that keeps the contract for about so many seconds: recipe `matched`, to its schedule's end."""
    if not 0 < seconds < math.inf:
        raise BadInput(f"seconds={seconds} is no time to train: give it more than 0")
    sizes = replace(
        PRESETS["laptop"],
        image_size=data.train.image_size,
        images=len(data.train) + len(data.validation) + len(data.test),
        batch_size=batch_size,
        learning_rate=learning_rate,
    )
    config = RunConfig(
        contestant=type(denoiser).__name__, seed=seed, preset="session", recipe=MATCHED, sizes=sizes,
        data=data.train.source, data_hash=data.train.content_hash, device=choose_device(device), mixed_precision="no",
        memory_format="channels_last",
    )  # fmt: skip
    config = replace(config, sizes=in_time(sizes, len(data.train), seconds / seconds_per_step(denoiser, config, data)))
    trainer = Trainer(denoiser, config, data.train)
    trainer.train_to_end()
    return Trained(trainer, data)


def seconds_per_step(denoiser: nn.Module, config: RunConfig, data: Split) -> float:
    """Timed on a copy of the denoiser, which is not trained by it."""
    trainer = Trainer(copy.deepcopy(denoiser), config, data.train)
    steps = itertools.chain.from_iterable(trainer.steps() for _ in itertools.count())
    for _ in itertools.islice(steps, WARM_UP):
        pass
    began = time.perf_counter()
    for loss in itertools.islice(steps, TIMED):
        loss.item()
    return (time.perf_counter() - began) / TIMED


def in_time(sizes: Sizes, images: int, steps: float) -> Sizes:
    """Sizes of so many steps, in epochs of one length."""
    whole = images // sizes.batch_size
    epochs = max(1, math.ceil(steps / whole))
    return replace(sizes, epochs=epochs, max_steps=min(whole, max(1, round(steps / epochs))))
