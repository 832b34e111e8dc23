"""A user's own denoiser, as small as the contract allows: it has no Tau."""

import torch
from torch import Tensor, nn


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


class Curious(Plain):
    """Reads a tensor's value: it cannot be followed without memory."""

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        prediction = super().forward(noisy, timestep, condition)
        return prediction if prediction.mean().item() < 1e9 else -prediction


def build_curious(condition_width: int, image_size: int, scale: float) -> nn.Module:
    return Curious(condition_width)
