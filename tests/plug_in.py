"""A user's own denoisers, as small as the contract allows (they have no Tau), and an extractor."""

import os
import time

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch_fidelity.feature_extractor_base import FeatureExtractorBase

from bench.quality.features import Extractor, register


class Plain(nn.Module):
    def __init__(self, condition_width: int) -> None:
        super().__init__()
        self.embed = nn.Linear(condition_width + 1, 8)
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        told = self.embed(torch.cat([condition, timestep[:, None] / 300], dim=1))
        return self.last(torch.relu(self.first(noisy) + told[:, :, None, None]))


def build(condition_width: int, image_size: int, scale: float) -> nn.Module:
    return Plain(condition_width)


def build_broken(condition_width: int, image_size: int, scale: float) -> nn.Module:
    model = Plain(condition_width)
    nn.init.constant_(model.last.weight, float("nan"))
    return model


def build_tied(condition_width: int, image_size: int, scale: float) -> nn.Module:
    """Two of its layers are one."""
    model = Plain(condition_width)
    model.again = model.embed
    return model


class Curious(Plain):
    """Reads a tensor's value: it cannot be followed without memory."""

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        prediction = super().forward(noisy, timestep, condition)
        return prediction if prediction.mean().item() < 1e9 else -prediction


def build_curious(condition_width: int, image_size: int, scale: float) -> nn.Module:
    return Curious(condition_width)


class Slow(Plain):
    """Takes its time in training."""

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        if self.training and noisy.device.type != "meta":
            time.sleep(float(os.environ.get("SLOW_SECONDS", "0")))
        return super().forward(noisy, timestep, condition)


def build_slow(condition_width: int, image_size: int, scale: float) -> nn.Module:
    return Slow(condition_width)


class Hungry(Plain):
    """Asks for much memory for every image, and forgets it; of a GPU it may have a fifth: others have the rest."""

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        torch.empty(len(noisy), 3 * 2**28, dtype=torch.uint8, device=noisy.device)
        return super().forward(noisy, timestep, condition)


def build_hungry(condition_width: int, image_size: int, scale: float) -> nn.Module:
    if torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(0.2)
    return Hungry(condition_width)


class Poisoned(Plain):
    """Fails in the process of rank 1 as soon as the file that POISON names is there."""

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        if os.environ.get("RANK") == "1" and os.path.exists(os.environ["POISON"]):
            raise ValueError("poisoned")
        return super().forward(noisy, timestep, condition)


def build_poisoned(condition_width: int, image_size: int, scale: float) -> nn.Module:
    return Poisoned(condition_width)


class MeanColour(FeatureExtractorBase):
    """An extractor of a user's own: the mean of each channel, uint8 (B, 3, H, W) to (B, 3)."""

    def __init__(self, name: str, features_list: list[str], **_: object) -> None:
        super().__init__(name, features_list)

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return ("mean",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return "mean"

    @staticmethod
    def can_be_compiled() -> bool:
        return False

    @staticmethod
    def get_dummy_input_for_compile() -> Tensor:
        return torch.zeros(1, 3, 8, 8, dtype=torch.uint8)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (images.float().mean(dim=(2, 3)),)


MEAN_COLOUR = Extractor("mean-colour", "mean", "Fréchet distance (mean colour)", "none", lambda _: "no weights")
register(MEAN_COLOUR, MeanColour)


class Saved(Plain, ModelMixin, ConfigMixin):
    """A denoiser of a user's own that diffusers can save."""

    @register_to_config
    def __init__(self, condition_width: int) -> None:
        super().__init__(condition_width)


def build_saved(condition_width: int, image_size: int, scale: float) -> nn.Module:
    return Saved(condition_width)


class Forgetful(Saved):
    """Has a weight that its configuration does not tell of."""


def build_forgetful(condition_width: int, image_size: int, scale: float) -> nn.Module:
    model = Forgetful(condition_width)
    model.more = nn.Linear(2, 2)
    return model


class Attentive(nn.Module):
    """Attends to its own pixels and to a few tokens of the condition, by torch's own attention layer."""

    def __init__(self, condition_width: int, weights: bool, batch_first: bool) -> None:
        super().__init__()
        self.weights, self.batch_first = weights, batch_first
        self.first, self.last = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 3, 1)
        self.tokens = nn.Linear(condition_width, 3 * 8)
        self.own = nn.MultiheadAttention(8, 2, batch_first=batch_first)
        self.asked = nn.MultiheadAttention(8, 4, batch_first=batch_first)

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        images = self.first(noisy)
        pixels, context = images.flatten(2).mT, self.tokens(condition).unflatten(1, (3, 8))
        if not self.batch_first:
            pixels, context = pixels.transpose(0, 1), context.transpose(0, 1)
        pixels = self.own(pixels, pixels, pixels, need_weights=self.weights)[0]
        pixels = self.asked(query=pixels, key=context, value=context, need_weights=self.weights)[0]
        if not self.batch_first:
            pixels = pixels.transpose(0, 1)
        return self.last(pixels.mT.reshape(images.shape))


def build_attentive(condition_width: int, image_size: int, scale: float) -> nn.Module:
    return Attentive(condition_width, weights=True, batch_first=True)


def build_nothing(condition_width: int, image_size: int, scale: float) -> None:
    """Builds no model."""


def build_refusing(condition_width: int, image_size: int, scale: float) -> nn.Module:
    raise ValueError("this size\nis not for me")
