"""The contract that every contestant owes, held wherever its own code is run."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import torch
from torch import Tensor

from bench.errors import BadContestant, line_of, place_of
from bench.stopping import Stopped

Denoiser = Callable[[Tensor, Tensor, Tensor], Tensor]  # (noisy, timestep, condition) -> prediction


@contextmanager
def no_exit() -> Iterator[None]:
    """Run a plug-in's own code: its attempt to end the process becomes a BadContestant, ours to stop it does not."""
    here, leave = os.getpid(), os._exit

    def refuse(status: int) -> NoReturn:
        if os.getpid() != here:  # a process of its own may end as it likes
            leave(status)
        raise SystemExit(status)

    os._exit = refuse
    try:
        yield
    except (Exception, KeyboardInterrupt, Stopped, GeneratorExit):
        raise
    except BaseException as error:  # SystemExit, or one of its own making
        raise BadContestant(f"it tried to end the process ({line_of(error)}){place_of(error)}") from error
    finally:
        os._exit = leave


RANDOM_STATE = "torch's random state"
MODES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {  # torch's global state: how to read and set it
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's default device": (torch.get_default_device, torch.set_default_device),
    "torch's gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch's number of threads": (torch.get_num_threads, torch.set_num_threads),
    "torch's precision of matrix products": (
        torch.get_float32_matmul_precision, torch.set_float32_matmul_precision,
    ),
    "torch's deterministic mode": (
        torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms,
    ),
    RANDOM_STATE: (torch.get_rng_state, torch.set_rng_state),
}  # fmt: skip


@contextmanager
def state_restored(*left: str) -> Iterator[list[str]]:
    """Undo what a plug-in's own code does to torch's global state, but for what is `left`; at the end it is named."""
    modes = {name: mode for name, mode in MODES.items() if name not in left}
    before = {name: read() for name, (read, _) in modes.items()}
    changed: list[str] = []
    try:
        yield changed
    finally:
        for name, (read, write) in modes.items():
            if not same(before[name], read()):
                changed.append(name)
                write(before[name])


def same(one: object, other: object) -> bool:
    return torch.equal(one, other) if isinstance(one, Tensor) and isinstance(other, Tensor) else one == other


def broken_contract(prediction: object, noisy: Tensor) -> str | None:
    """How a prediction is not of the kind that every contestant owes; None if it is."""
    if not isinstance(prediction, Tensor):
        return f"must return a tensor, not a {type(prediction).__name__}"
    if prediction.shape != noisy.shape:
        shapes = " instead of ".join(str(tuple(tensor.shape)) for tensor in (prediction, noisy))
        return f"must return a tensor like its images (B, 3, H, W): it returns {shapes}"
    if not prediction.is_floating_point():
        return f"must return floating-point numbers, not {prediction.dtype}"
    return None


def predict(denoiser: Denoiser, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
    """A denoiser's prediction; BadContestant if it ends the process or breaks the contract, at whatever step."""
    with no_exit():
        prediction = denoiser(noisy, timestep, condition)
    if wrong := broken_contract(prediction, noisy):
        raise BadContestant(f"its forward {wrong}")
    return prediction
