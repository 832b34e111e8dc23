"""The terms in which costs are told, for accountants and renderers alike."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from typing import Any, get_args

from bench.record.cost import StepPart

TAU, REST = "tau", "rest"  # the conditioner, and what works at no one resolution: embeddings of time, say
KEPT = ("weights", "gradients", "adam", "ema")  # bytes that come with each parameter
PARTS: tuple[StepPart, ...] = get_args(StepPart)  # of a training step

# Of a walk through a UNet.
TIME, INPUT, RESNET, ATTENTION, OUTPUT = "time embedding", "input", "ResNet block", "attention", "output"
DOWNSAMPLE, UPSAMPLE = "downsample", "upsample"
ROLES = (TAU, TIME, INPUT, DOWNSAMPLE, UPSAMPLE, RESNET, ATTENTION, OUTPUT)  # in their order at any one resolution
PATHS = ("start", "down", "middle", "up", "end")
Place = tuple[int, int, int]  # by path, resolution and role


@dataclass(frozen=True)
class Block:
    """A block of a walk through a UNet: where it is, and what it costs a training step of a whole batch."""

    role: str  # one of `ROLES`, or `REST`
    path: str  # one of `PATHS`
    modules: tuple[str, ...]  # by name, in the order of the forward pass
    input: tuple[int, ...]  # shapes of the first one's input and of the last one's output, without the batch
    output: tuple[int, ...]
    parameters: int
    forward_flops: int
    saved_bytes: int  # that no block before it had saved: a tensor is counted once
    attention: tuple[dict[str, Any], ...] = ()  # as in an account

    @property
    def place(self) -> Place:
        """Equal for blocks of two models that do the same work; sorted, the order of the forward pass."""
        height = {"down": -1, "up": 1}.get(self.path, 0) * self.output[-1]
        return PATHS.index(self.path), height, ROLES.index(self.role)


@dataclass(frozen=True)
class Walk:
    """A model's blocks in the order of the forward pass, what is left between them, and the batch they were given."""

    name: str
    batch_size: int
    blocks: tuple[Block, ...]
    rest: Block  # outside of all blocks: joining the skip connections, and the loss
    made_of: dict[str, dict[str, object]]  # the fields of its architecture, by the change that sets them


def joined(blocks: Iterable[Block]) -> list[Block]:
    """Blocks of the same place as one, in the order of the forward pass."""
    place = attrgetter("place")
    return [total(list(same)) for _, same in groupby(sorted(blocks, key=place), key=place)]


def total(blocks: list[Block]) -> Block:
    """Blocks as one: from the first one's input to the last one's output."""
    return replace(
        blocks[0],
        modules=tuple(name for block in blocks for name in block.modules),
        output=blocks[-1].output,
        parameters=sum(block.parameters for block in blocks),
        forward_flops=sum(block.forward_flops for block in blocks),
        saved_bytes=sum(block.saved_bytes for block in blocks),
        attention=tuple(each for block in blocks for each in block.attention),
    )


def square(height: int) -> str:
    return f"{height}×{height}"


def finest_first(levels: set[str]) -> list[str]:
    """Levels in the order of the way down, then Tau, then the rest."""
    return sorted(levels, key=lambda level: -int(level.split("×")[0]) if "×" in level else (level == REST))


PEAK_OF = {
    "conv": "convolution_flop_per_second",
    "linear": "gemm_flop_per_second",
    "attention": "attention_flop_per_second",
}


def floor_seconds(flops: dict[str, float], peaks: dict[str, Any]) -> float | None:
    """The least seconds that an image's training can take: FLOP of each kind over the machine's peak of that kind.

    None where a count or a peak is not there, as in records from before they were taken.
    """
    seconds = 0.0
    for kind, key in PEAK_OF.items():
        count, rate = flops.get(f"training_{kind}"), peaks.get(key)
        if count is None or rate is None:
            return None
        seconds += count / rate
    return seconds


def head_shapes(attention: list[dict[str, Any]]) -> list[str]:
    """`32×4 (4096 → 256 tokens)` for every kind of attention that occurs."""
    shapes = (
        f"{a['heads']}×{a['head_width']} ({a.get('kind', '')} {a['query_tokens']} → {a['context_tokens']} tokens)"
        for a in attention
    )
    return list(dict.fromkeys(shapes))
