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
from bench.contract import predict
from bench.data.library import DataRequest, cache_path, default_cache, load
from bench.data.splits import Split, asked_of, split
from bench.environment import choose_device
from bench.errors import BadContestant, BadInput, words_of
from bench.quality.classifier import ClassifierConfig, cached_classifier
from bench.quality.features import EFFICIENTNET
from bench.quality.score import Extraction, Scorer
from bench.sampling.draw import draw
from bench.training.trainer import Trainer

WARM_UP, TIMED = 2, 3  # steps before training, by which its seconds become steps


def load_data(images: int = 2000, image_size: int = 32, source: str = "avataaars", cache: Path | None = None) -> Split:
    """Avatars with their attributes, some kept for validation and test; drawn here, or a Cartoon Set at `source`."""
    at_least(1, images=images, image_size=image_size)
    request = DataRequest(source, images, image_size)
    return split(load(request, cache_path(request, Path(cache or default_cache()))))


def build(contestant: str, data: Split, scale: float = 1 / 8, seed: int = 0) -> nn.Module:
    """A contestant by its name (`scratch`, `diffusers-32`, `package.module:function`), made for these data."""
    torch.manual_seed(seed)
    return contestants.try_build(contestant, data.train.schema.width, data.train.image_size, scale)


def at_least(least: int, **counts: int) -> None:
    """BadInput unless each of these is a whole number, and not smaller."""
    for name, count in counts.items():
        if not isinstance(count, int) or count < least:
            raise BadInput(f"{name}={count!r}: give it a whole number from {least}")


@dataclass(frozen=True)
class Trained:
    """A trained denoiser beside the data that it was trained on."""

    trainer: Trainer
    data: Split

    def sample(self, count: int = 64, guidance: float | None = None) -> Tensor:
        """uint8 images (count, 3, H, W) for held-out attributes, by the weights that are scored; each time the same."""
        at_least(1, count=count)
        conditions = asked_of(self.data, count).conditions
        with self.trainer.averaged() as denoiser:
            return draw(denoiser, self.trainer.config, conditions, torch.device(self.trainer.config.device), guidance)

    def score(self, images: Tensor, classifier_steps: int = 500, cache: Path | None = None) -> pd.Series:
        """What samples are worth: nearness to the true pictures, the attributes that they show, and their distance."""
        size = self.data.train.image_size
        if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[1:] != (3, size, size):
            raise BadInput(f"images must be uint8 (N, 3, {size}, {size}), not {images.dtype} {tuple(images.shape)}")
        at_least(1, classifier_steps=classifier_steps)
        device, folder = torch.device(self.trainer.config.device), Path(cache or default_cache())
        classifier = cached_classifier(self.data, ClassifierConfig(steps=classifier_steps), device, folder)
        extraction = Extraction({EFFICIENTNET: None}, str(device), folder)
        found = Scorer(classifier, self.data, asked_of(self.data, len(images)), extraction).score(images)
        accuracy, exact = found["attributes"]["macro"], found["exact"]
        shown = {
            "ΔE to the true picture": found["paired"]["colour"]["value"],
            **({} if exact is None else {"all attributes right, exact": exact["all_right"]["value"]}),
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
    if not 0 < learning_rate < math.inf:
        raise BadInput(f"learning_rate={learning_rate}: give it more than 0")
    at_least(1, batch_size=batch_size)
    refuse_unfit(denoiser, data)
    sizes = replace(
        PRESETS["laptop"],
        image_size=data.train.image_size,
        images=len(data.train) + len(data.validation) + len(data.test),
        batch_size=batch_size,
        learning_rate=learning_rate,
    )
    config = RunConfig(
        contestant=type(denoiser).__name__, seed=seed, preset="session", recipe=MATCHED, sizes=sizes,
        data=data.train.source, data_hash=data.train.content_hash, device=choose_device(str(device)),
        mixed_precision="no", memory_format="channels_last",
    )  # fmt: skip
    config = replace(config, sizes=in_time(sizes, len(data.train), seconds / seconds_per_step(denoiser, config, data)))
    trainer = Trainer(denoiser, config, data.train)
    trainer.train_to_end()
    return Trained(trainer, data)


def refuse_unfit(denoiser: nn.Module, data: Split) -> None:
    """BadContestant with the reason unless it can be trained, copied, and called on two of these images."""
    name = type(denoiser).__name__
    if wrong := contestants.untrainable(denoiser):
        raise BadContestant(f"{name} {wrong}")
    device = next(denoiser.parameters()).device
    noisy = torch.zeros(2, 3, data.train.image_size, data.train.image_size, device=device)
    told = torch.zeros(2, dtype=torch.long, device=device), torch.zeros(2, data.train.schema.width, device=device)
    try:
        with torch.no_grad():
            predict(copy.deepcopy(denoiser), noisy, *told)
    except Exception as error:
        raise BadContestant(f"{name} cannot be called on these data: {words_of(error)}") from error


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
