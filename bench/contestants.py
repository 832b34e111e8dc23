"""From a contestant's name to its model: the one importer of both model packages, and of a user's own."""

import functools
import importlib
import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn

import diffusers_unet
import scratch_unet
from bench.config import one_of_ours
from bench.contract import RANDOM_STATE, broken_contract, no_exit, state_restored
from bench.errors import BadContestant, BadInput, lacks_memory, printable, words_of
from bench.variants import changed_values, split_name

Builder = Callable[[int, int, float], nn.Module]  # (condition_width, image_size, scale)

PUBLISHED_CONDITION_WIDTH = 217  # Cartoon Set's; the published totals are for it
PUBLISHED_IMAGE_SIZE = 64
MEMORY_FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}


@dataclass(frozen=True)
class Contestant:
    """A denoiser that can be built at any scale; `blocks` says in words what its UNet is made of."""

    name: str
    build: Builder
    blocks: str | None = None


CROSS_ALONE = "resnet blocks, transformer block (cross attention only)"
SELF_AND_CROSS = "resnet blocks, transformer block (self and cross)"
LIBRARY = {
    "diffusers-32": Contestant("diffusers-32", diffusers_unet.build_32, CROSS_ALONE),
    "diffusers-16": Contestant("diffusers-16", diffusers_unet.build_16, SELF_AND_CROSS),
    "diffusers-8": Contestant("diffusers-8", diffusers_unet.build_8, SELF_AND_CROSS),
}


def by_hand(name: str) -> Contestant:
    """A contestant of ours by the name of its architecture, or of a variant of it: `scratch+heads=1`."""
    base, told = split_name(name)
    if base in LIBRARY:
        raise BadInput(f"contestant '{name}': the library's models have no variants: use its twin's")
    original = scratch_unet.architecture_of(one_of_ours(base))
    changes = changed_values(original, told, name)
    architecture = replace(original, **changes)
    blocks = SELF_AND_CROSS if architecture.attends_to_itself else CROSS_ALONE
    if architecture.attention == "cross":
        blocks = "resnet blocks, multi-head cross attention"
    build = functools.partial(scratch_unet.ScratchDenoiser, architecture=base, changes=changes)
    return Contestant(name, build, blocks)


def is_ours(name: str) -> bool:
    """Whether a contestant is of this project, and no plug-in."""
    return ":" not in name


PLUG_IN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def contestant(name: str) -> Contestant:
    """One of ours, or `package.module:function`; BadInput with the nearest names, or the remedy, if there is none.

    BadContestant if the module is there and does not let itself be imported.
    """
    if is_ours(name):
        return LIBRARY.get(name) or by_hand(name)
    if not PLUG_IN.fullmatch(name):
        raise BadInput(f"contestant '{name}' is not of the form package.module:function")
    module, _, function = name.partition(":")
    try:
        with state_restored(RANDOM_STATE) as changed, no_exit():  # a model is seeded after it
            found = Contestant(name, getattr(importlib.import_module(module), function))
    except Exception as error:
        if is_missing(error, module):
            remedy = (
                "is its name right?" if isinstance(error, AttributeError) else "run this in the folder that holds it"
            )
            raise BadInput(f"contestant '{name}' cannot be loaded ({printable(str(error))}): {remedy}") from error
        if lacks_memory(error):
            raise
        why = f"contestant '{name}' cannot be imported: {words_of(error)}"
        raise BadContestant(why) from error
    if changed:
        print(f"contestant '{name}': importing it changed {', '.join(changed)}; that was undone", file=sys.stderr)
    return found


def is_missing(error: Exception, module: str) -> bool:
    """Whether a module, or what is to be taken from it, is not there at all: then its name is wrong, not its code."""
    if isinstance(error, ModuleNotFoundError):
        return error.name is not None and f"{module}.".startswith(f"{error.name}.")
    return isinstance(error, AttributeError) and module in sys.modules


def build(name: str, condition_width: int, image_size: int, scale: float, seed: int = 0) -> nn.Module:
    """The contestant's model, its weights drawn from `seed`."""
    builder = contestant(name).build
    torch.manual_seed(seed)  # after a plug-in is imported, which may draw for itself
    with no_exit():
        return builder(condition_width, image_size, scale)


def try_build(name: str, condition_width: int, image_size: int, scale: float) -> nn.Module:
    """The model on the current default device; BadInput if ours cannot be of this size, BadContestant for a plug-in.

    What a plug-in makes must be a module with something to train.
    """
    builder, refused = contestant(name).build, BadInput if is_ours(name) else BadContestant
    if wrong := not_called_with(builder, "condition_width", "image_size", "scale"):
        raise refused(f"contestant {name}: its function {wrong}")
    try:
        with no_exit():
            denoiser = builder(condition_width, image_size, scale)
    except Exception as error:
        if lacks_memory(error):
            raise
        why = str(error) if is_ours(name) else f"{words_of(error)}"
        raise refused(f"contestant {name}: {why}") from error
    if wrong := untrainable(denoiser):
        raise refused(f"contestant {name} {wrong}")
    return denoiser


def untrainable(denoiser: object) -> str | None:
    """Why something cannot be trained as a denoiser, before it is called; None if it can."""
    if not isinstance(denoiser, nn.Module):
        return f"must build a torch.nn.Module, not a {type(denoiser).__name__}"
    if not any(parameter.requires_grad for parameter in denoiser.parameters()):
        return "has no parameters to train"
    wrong = not_called_with(denoiser.forward, "noisy", "timestep", "condition")
    return wrong and f"has a forward that {wrong}"


def not_called_with(function: Callable[..., object], *names: str) -> str | None:
    """That a function does not take these arguments, by position; None if it does, or does not tell what it takes."""
    try:
        inspect.signature(function).bind(*names)
    except TypeError as error:
        return f"is called as ({', '.join(names)}), by position: {error}"
    except ValueError:  # a builtin's
        return None
    return None


def build_on_meta(name: str, condition_width: int, image_size: int, scale: float) -> nn.Module:
    """The model without memory for its weights, or with it where it cannot be built so; refused as by `try_build`."""
    try:
        with torch.device("meta"):
            return try_build(name, condition_width, image_size, scale)
    except BadContestant:  # it reads a tensor's value, say
        return try_build(name, condition_width, image_size, scale)


def check(name: str, image_size: int, scale: float, condition_width: int = 2) -> None:
    """BadInput or BadContestant unless the contract is kept at this size: built and called.

    Without memory, on the meta device; a model that cannot be called there (it reads a tensor's value, say), on a CPU.
    """
    try:
        call_once(name, image_size, scale, condition_width, "meta")
    except BadContestant:
        call_once(name, image_size, scale, condition_width, "cpu")


def call_once(name: str, image_size: int, scale: float, condition_width: int, device: str) -> None:
    """Build the model and call it on two images; BadContestant if it raises an error or breaks the contract."""
    with torch.device(device):
        denoiser = try_build(name, condition_width, image_size, scale)
        noisy = torch.zeros(2, 3, image_size, image_size)
        try:
            with no_exit(), torch.no_grad():
                prediction = denoiser(noisy, torch.zeros(2, dtype=torch.long), torch.zeros(2, condition_width))
        except Exception as error:
            why = f"{words_of(error)}"
            raise BadContestant(
                f"contestant {name} cannot be called at image size {image_size}, scale {scale}: {why}"
            ) from error
    if wrong := broken_contract(prediction, noisy):
        raise BadContestant(f"contestant {name} {wrong}")
