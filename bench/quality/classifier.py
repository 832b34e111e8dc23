"""The classifier of attributes: a small convolutional network, trained once on real images, then cached."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms.functional import gaussian_blur

from bench import randomness
from bench.data.dataset import AvatarSet, to_model_space
from bench.data.schema import Schema
from bench.data.splits import Split
from bench.storage import cache

BLUR_KERNEL = 7  # pixels: holds three standard deviations of the strongest blur


@dataclass(frozen=True)
class ClassifierConfig:
    """How the classifier is trained; part of its cache key."""

    steps: int
    batch_size: int = 32
    learning_rate: float = 2e-3
    # Artefacts added in half of the batches, so that they do not blind it: up to this standard deviation of noise (in
    # model space, where 2 is black to white), and, in half of those, up to this many pixels at 32×32 of blur.
    noise: float = 0.1
    blur: float = 0.6
    algorithm: int = 3  # raise when the code below gives another classifier

    def as_dict(self) -> dict[str, float]:
        return dataclasses.asdict(self)


class AttributeClassifier(nn.Module):
    """Images in model space (B, 3, H, W) to logits (B, sum of cardinalities), grouped as the condition is."""

    def __init__(self, cardinalities: list[int], widths: tuple[int, ...] = (32, 64, 128)) -> None:
        super().__init__()
        self.cardinalities = cardinalities
        layers: list[nn.Module] = []
        for before, after in zip((3, *widths[:-1]), widths, strict=True):
            for ins in (before, after):
                layers += [nn.Conv2d(ins, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            layers.append(nn.MaxPool2d(2))
        # The 4×4 grid keeps *where* a part is: an average over the picture would lose it.
        self.trunk = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Dropout(0.2))
        self.heads = nn.Linear(widths[-1] * 16, sum(cardinalities))

    def forward(self, images: Tensor) -> Tensor:
        return self.heads(self.trunk(images))

    def split(self, logits: Tensor) -> tuple[Tensor, ...]:
        """Logits (B, sum) to one (B, cardinality) per attribute."""
        return logits.split(self.cardinalities, dim=1)

    @torch.inference_mode()
    def predict(self, images: Tensor, batch_size: int = 256) -> Tensor:
        """Codes (N, A) read off uint8 images (N, 3, H, W)."""
        self.eval()
        device = self.heads.weight.device
        rows = []
        for batch in images.split(batch_size):
            pixels = to_model_space(batch).to(device, memory_format=torch.channels_last)
            rows.append(torch.stack([part.argmax(1) for part in self.split(self(pixels))], dim=1).cpu())
        return torch.cat(rows)

    def digest(self) -> str:
        """sha256 of the weights."""
        return cache.checksum({name: each.cpu() for name, each in self.state_dict().items()}, {})


def loss(model: AttributeClassifier, images: Tensor, codes: Tensor) -> Tensor:
    """Sum of the attributes' cross entropies."""
    parts = model.split(model(images))
    return torch.stack([F.cross_entropy(part, codes[:, i]) for i, part in enumerate(parts)]).sum()


def batches(train: AvatarSet, config: ClassifierConfig, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """`config.steps` batches of real images, every second one clean, and their codes; epoch after epoch."""
    size = min(config.batch_size, len(train))
    per_epoch = len(train) // size
    for step in range(config.steps):
        epoch, position = divmod(step, per_epoch)
        rows = randomness.epoch_order(seed, epoch, len(train))[position * size : (position + 1) * size]
        images = to_model_space(train.images[rows])
        if step % 2:
            images = worsened(images, config, randomness.generator(seed, "judge", step))
        yield images, train.codes[rows]


def worsened(images: Tensor, config: ClassifierConfig, generator: torch.Generator) -> Tensor:
    """Images (B, 3, H, W) with some blur in every second batch, and with noise, of a strength of its own for each."""
    blurred, sigma = torch.rand(2, generator=generator).tolist()
    if blurred < 0.5:
        strongest = config.blur * images.shape[-1] / 32
        images = gaussian_blur(images, kernel_size=[BLUR_KERNEL, BLUR_KERNEL], sigma=[0.1 + sigma * strongest])
    strength = config.noise * torch.rand(len(images), 1, 1, 1, generator=generator)
    return images + strength * torch.randn(images.shape, generator=generator)


def train_classifier(
    train: AvatarSet, config: ClassifierConfig, device: torch.device, seed: int = 0
) -> Iterator[tuple[AttributeClassifier, float]]:
    """Train the classifier, yielding (the model, this step's loss) after every step so that progress can be shown."""
    torch.manual_seed(seed)
    model = AttributeClassifier(train.schema.cardinalities).to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), config.learning_rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.steps, pct_start=max(0.1, min(0.4, 2 / config.steps))
    )
    for images, codes in batches(train, config, seed):
        model.train()
        value = loss(model, images.to(device, memory_format=torch.channels_last), codes.to(device))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
        yield model, value.item()


def classifier_path(split: Split, config: ClassifierConfig, folder: Path) -> Path:
    """Where the classifier of this training set lies: its name is made of the images' content and its configuration."""
    key = json.dumps([split.train.content_hash, config.as_dict()])
    return folder / f"judge-{hashlib.sha256(key.encode()).hexdigest()[:24]}.safetensors"


def cached_classifier(
    split: Split,
    config: ClassifierConfig,
    device: torch.device,
    folder: Path,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> AttributeClassifier:
    """The classifier for this data: trained on real training images the first time, loaded after that."""
    path = classifier_path(split, config, folder)
    found = load_classifier(path, split.train.schema, device)
    if found is not None:
        return found
    for step, (model, loss) in enumerate(train_classifier(split.train, config, device)):
        trained = model
        on_step(step, loss)
    cache.write(path, trained.state_dict(), {"name": path.name})
    return trained


def load_classifier(path: Path, schema: Schema, device: torch.device) -> AttributeClassifier | None:
    """The classifier that was cached; None if there is none or it is damaged."""
    found = cache.read(path)
    if found is None or found[1].get("name") != path.name:
        return None
    model = AttributeClassifier(schema.cardinalities)
    model.load_state_dict(found[0])
    return model.to(device).to(memory_format=torch.channels_last)
