"""A walk through a UNet: its blocks in the order of the forward pass, and what each of them costs."""

from collections.abc import Iterator
from typing import Any

from torch import nn

import scratch_unet
from bench import contestants
from bench.config import MATCHED
from bench.cost import terms
from bench.cost.account import Setting, count_parameters, trace, trainable
from bench.cost.modules import Call
from bench.cost.terms import Block, Walk
from bench.cost.trace import Trace, without_memory
from scratch_unet.architecture import CHANGES

ROLE_OF_CLASS = {
    "Tau": terms.TAU,
    "TimeEmbedding": terms.TIME,
    "ResNetBlock": terms.RESNET,
    "CrossAttention": terms.ATTENTION,
    "Transformer": terms.ATTENTION,
    "Downsample": terms.DOWNSAMPLE,
    "Upsample": terms.UPSAMPLE,
    # The library's.
    "Timesteps": terms.TIME,
    "TimestepEmbedding": terms.TIME,
    "ResnetBlock2D": terms.RESNET,
    "Transformer2DModel": terms.ATTENTION,
    "Downsample2D": terms.DOWNSAMPLE,
    "Upsample2D": terms.UPSAMPLE,
}
ROLE_OF_NAME = {"unet.told": terms.TIME}  # the layer that adds Tau's tokens to the time embedding
PATH_OF_ROLE = {terms.TAU: "start", terms.TIME: "start", terms.INPUT: "start", terms.OUTPUT: "end"}
PATH_OF_NAME = {"down": "down", "mid": "middle", "up": "up"}  # how a child of the UNet begins
ONE_BLOCK = (terms.TIME, terms.OUTPUT)  # of several modules in a row


def walk(name: str, setting: Setting) -> Walk:
    """The walk through a contestant's model; its sums are those of the account of the same setting."""
    with without_memory():
        denoiser = contestants.try_build(name, setting.condition_width, setting.image_size, setting.scale)
        traced = trace(denoiser, setting, MATCHED)
        blocks = blocks_of(denoiser, traced)
        rest = rest_of(denoiser, traced, blocks)
        return Walk(name, setting.batch_size, tuple(blocks), rest, made_of(name))


def made_of(name: str) -> dict[str, dict[str, object]]:
    """The architecture of one of ours, or of the twin of one of the library's, by the changes of the bridge."""
    made = scratch_unet.architecture_of(name.replace("diffusers-", "twin-"))
    return {change: {each: getattr(made, each) for each in fields} for change, fields in CHANGES.items()}


def blocks_of(denoiser: nn.Module, traced: Trace) -> list[Block]:
    """A block for every call of a module that has a role."""
    runs: list[tuple[str, list[Call]]] = []
    for role, call in roles_of(denoiser, traced.calls):
        if role in ONE_BLOCK and runs and runs[-1][0] == role:
            runs[-1][1].append(call)
        else:
            runs.append((role, [call]))
    blocks, counted = [], set[str]()  # modules whose parameters a block has already
    for role, calls in runs:
        new = {call.name for call in calls} - counted
        parameters = sum(trainable(denoiser.get_submodule(name)) for name in new)
        blocks.append(block_of(role, calls, parameters, traced.attention))
        counted |= new
    return blocks


def roles_of(denoiser: nn.Module, calls: list[Call]) -> Iterator[tuple[str, Call]]:
    """The calls that have a role; a layer of the UNet's own is the input before the first block, and output after."""
    layer = terms.INPUT
    for call in calls:
        module = denoiser.get_submodule(call.name)
        role = ROLE_OF_NAME.get(call.name) or ROLE_OF_CLASS.get(type(module).__name__)
        if role == terms.RESNET:
            layer = terms.OUTPUT
        if role is None and call.name.startswith("unet.") and call.name.count(".") == 1 and not [*module.children()]:
            role = layer
        if role is not None:
            yield role, call


def block_of(role: str, calls: list[Call], parameters: int, attention: list[dict[str, Any]]) -> Block:
    """One block of calls that follow each other."""
    first, last = calls[0], calls[-1]
    modules = tuple(call.name for call in calls)
    path = PATH_OF_ROLE.get(role) or next(
        PATH_OF_NAME[way] for way in PATH_OF_NAME if first.name.startswith(f"unet.{way}")
    )
    flops, saved = (after - before for after, before in zip(last.after, first.before, strict=True))
    within = tuple(f"{name}." for name in modules)
    inside = tuple(each for each in attention if f"{each['where']}.".startswith(within))
    return Block(role, path, modules, first.input[1:], last.output[1:], parameters, flops, saved, inside)


def rest_of(denoiser: nn.Module, traced: Trace, blocks: list[Block]) -> Block:
    """What the whole step has and no block has."""
    total = count_parameters(denoiser)["total"]
    assert total is not None
    parameters = total - sum(block.parameters for block in blocks)
    flops = traced.flops["forward"] - sum(block.forward_flops for block in blocks)
    saved = traced.saved_bytes - sum(block.saved_bytes for block in blocks)
    return Block(terms.REST, "end", (), (), (), parameters, flops, saved)
