"""A stranger's denoisers that break one duty each, and are as they should be otherwise."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from tests.plug_in import Plain

Forward = Callable[[Plain, Tensor, Tensor, Tensor], Tensor]


def plain(model: Plain, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
    return Plain.forward(model, noisy, timestep, condition)


def without_attribute(condition: Tensor, column: int) -> Tensor:
    return torch.cat([condition[:, :column], torch.zeros_like(condition[:, :1]), condition[:, column + 1 :]], dim=1)


def raises(*_: object) -> Tensor:
    raise ValueError("no such token")


def raises_with_gradients(m: Plain, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
    if m.training and torch.is_grad_enabled():
        raise ValueError("not while it trains")
    return plain(m, x, t, c)


def draws_without_use(m: Plain, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
    torch.rand(1)
    return plain(m, x, t, c)


def reads_in_place(m: Plain, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
    return plain(m, x.mul_(0.5), t, c)


def puts_in_place(m: Plain, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
    images = torch.zeros_like(x)
    images[torch.arange(len(x), device=x.device)] = plain(m, x, t, c)
    return images


def settles(m: Plain, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
    other = "medium" if torch.get_float32_matmul_precision() == "high" else "high"
    torch.set_float32_matmul_precision(other)
    return plain(m, x, t, c)


def sets_the_timestep(m: Plain, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
    return plain(m, x, t.fill_(0) if m.training else t, c)


FORWARDS: dict[str, Forward] = {
    "raises": raises,
    "raises_with_gradients": raises_with_gradients,
    "nan_in_training": lambda m, x, t, c: plain(m, x, t, c) * (torch.nan if m.training else 1),
    "random": lambda m, x, t, c: plain(m, x, t, c) + torch.randn(x.shape, device=x.device),
    "timeless": lambda m, x, t, c: plain(m, x, torch.zeros_like(t), c),
    "deaf_to_one": lambda m, x, t, c: plain(m, x, t, without_attribute(c, 3)),
    "deaf": lambda m, x, t, c: plain(m, x, t, torch.zeros_like(c)),
    "mixing": lambda m, x, t, c: plain(m, x, t, c) - plain(m, x, t, c).mean(0),
    "drawing": draws_without_use,
    "in_place": reads_in_place,
    "in_place_in_training": sets_the_timestep,
    "settling": settles,
    "mixing_in_training": lambda m, x, t, c: plain(m, x, t, c) - (plain(m, x, t, c).mean(0) if m.training else 0),
    "staying": lambda m, x, t, c: plain(m, x + torch.linspace(0, 1, 3)[:, None, None], t, c),
    "viewing": lambda m, x, t, c: plain(m, x.view(len(x), -1).view(x.shape), t, c),
    "of_one_precision": puts_in_place,
}


class Otherwise(Plain):
    def __init__(self, condition_width: int, forward: Forward) -> None:
        super().__init__(condition_width)
        self.otherwise = forward

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        return self.otherwise(self, noisy, timestep, condition)


def __getattr__(name: str) -> Callable[[int, int, float], nn.Module]:
    """A builder for every forward above: `build_timeless`, say."""
    forward = FORWARDS.get(name.removeprefix("build_"))
    if forward is None:
        raise AttributeError(name)
    return lambda condition_width, image_size, scale: Otherwise(condition_width, forward)


def build_unseeded(condition_width: int, image_size: int, scale: float) -> nn.Module:
    model = Plain(condition_width)
    weights = np.random.default_rng().normal(size=tuple(model.last.weight.shape))
    model.last.weight.data = torch.tensor(weights, dtype=torch.float32)
    return model


def build_of_one_seed(condition_width: int, image_size: int, scale: float) -> nn.Module:
    torch.manual_seed(0)
    return Plain(condition_width)


def build_with_an_unused_layer(condition_width: int, image_size: int, scale: float) -> nn.Module:
    model = Plain(condition_width)
    model.unused = nn.Linear(2, 2)
    return model


class Hiding(Plain):
    """Has a tensor that it draws and does not register."""

    def __init__(self, condition_width: int) -> None:
        super().__init__(condition_width)
        self.offsets = torch.randn(8, 1, 1)

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        return super().forward(noisy + self.offsets[:3].to(noisy.device), timestep, condition)


def build_hiding(condition_width: int, image_size: int, scale: float) -> nn.Module:
    return Hiding(condition_width)


class Normalised(Plain):
    def __init__(self, condition_width: int) -> None:
        super().__init__(condition_width)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        return super().forward(self.norm(noisy), timestep, condition)


def build_normalised(condition_width: int, image_size: int, scale: float) -> nn.Module:
    return Normalised(condition_width)


class KeywordOnly(Plain):
    def forward(self, *, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        return super().forward(noisy, timestep, condition)


def build_keyword_only(condition_width: int, image_size: int, scale: float) -> nn.Module:
    return KeywordOnly(condition_width)


def build_of_one_argument(condition_width: int) -> nn.Module:
    return Plain(condition_width)


def build_reading(condition_width: int, image_size: int, scale: float) -> nn.Module:
    """It cannot be built without memory: it reads a tensor's value."""
    model = Plain(condition_width)
    model.rates = [each.item() for each in torch.linspace(0, 0.1, 4)]
    return model


def build_in_double(condition_width: int, image_size: int, scale: float) -> nn.Module:
    return Otherwise(condition_width, lambda m, x, t, c: plain(m, x.double(), t.double(), c.double())).double()


class Masked(Plain):
    """Has a buffer that is not finite, as every causal mask is, and one named as the harness once named its own."""

    def __init__(self, condition_width: int) -> None:
        super().__init__(condition_width)
        self.register_buffer("mask", torch.full((4, 4), -torch.inf).triu(1))
        self.codes = nn.Parameter(torch.zeros(3, 1, 1))

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        return super().forward(noisy, timestep, condition) + self.codes


def build_masked(condition_width: int, image_size: int, scale: float) -> nn.Module:
    return Masked(condition_width)


class Choosing(Plain):
    """Each image goes to one of eight experts, by its noise: three images cannot reach them all."""

    def __init__(self, condition_width: int) -> None:
        super().__init__(condition_width)
        self.experts = nn.ParameterList(torch.randn(3, 1, 1) for _ in range(8))

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        chosen = [self.experts[int(100 * each) % 8] for each in noisy[:, 0, 0, 0].abs()]
        return super().forward(noisy, timestep, condition) + torch.stack(chosen)


def build_choosing(condition_width: int, image_size: int, scale: float) -> nn.Module:
    return Choosing(condition_width)


class StartingAtZero(Plain):
    """As many denoisers do: at first it predicts zeros, whatever it is told."""

    def __init__(self, condition_width: int) -> None:
        super().__init__(condition_width)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)


def build_starting_at_zero(condition_width: int, image_size: int, scale: float) -> nn.Module:
    return StartingAtZero(condition_width)


def build_small(condition_width: int, image_size: int, scale: float) -> nn.Module:
    if image_size > 32:
        raise ValueError("at most 32 pixels")
    return Plain(condition_width)
