"""One training step, traced without the memory for it: FLOPs, bytes saved, bytes alive, attentions.

Under `without_memory` the same step runs on fake tensors: shapes and lifetimes as on a CPU, no memory, no arithmetic.
(The meta device will not do: there attention falls back to its written-out form, which saves far more.)
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from bench.cost.modules import Call, CallWatch, ModuleWatch, Place
from bench.cost.operations import Bytes, Peak, by_kind, storage_of

FAILURES = logging.getLogger(FakeTensorMode.__module__)  # torch's own, which prints a traceback


@contextmanager
def without_memory() -> Iterator[None]:
    """Tensors made in here have a shape, a layout and a lifetime, and no memory."""
    level = FAILURES.level
    FAILURES.setLevel(logging.CRITICAL)  # what fails is raised, too, and told in one line
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), torch.device("cpu"):
            yield
    finally:
        FAILURES.setLevel(level)


@dataclass
class Trace:
    """What one training step showed; parameters and what the optimiser keeps are not in its bytes."""

    hook_sum_bytes: int
    saved_bytes: int
    saved_by_level: dict[str, int]
    levels: dict[str, str]  # of every module
    flops: dict[str, int]
    traffic_bytes: int  # what the operations read and wrote
    peak: Peak
    attention: list[dict[str, Any]]
    calls: list[Call]  # of modules in the forward pass; their meter reads FLOPs and saved bytes so far


SDPA = F.scaled_dot_product_attention  # itself: an account may stand in for it
ATTENTION_ARGUMENTS = ("query", "key", "value", "embed_dim_to_check", "num_heads")  # by position; the first 3 in both


class Attentions(TorchFunctionMode):
    """Notes the shapes of every `scaled_dot_product_attention` and every `nn.MultiheadAttention` under it."""

    def __init__(self, watch: ModuleWatch, memory: Bytes) -> None:
        super().__init__()
        self.watch, self.memory = watch, memory
        self.found: list[dict[str, Any]] = []

    def __torch_function__(self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if function in (F.scaled_dot_product_attention, SDPA, F.multi_head_attention_forward):
            told: dict[str, Any] = dict(zip(ATTENTION_ARGUMENTS, args, strict=False)) | (kwargs or {})
            query, keys = told["query"], told["key"]
            if function is not F.multi_head_attention_forward:  # (B, heads, tokens, head width)
                self.note(query.shape[-2], keys, keys.shape[-2], query.shape[1], query.shape[-1])
            else:  # (tokens, B, width); what it calls in its turn does not pass through here
                heads = told["num_heads"]
                self.note(query.shape[0], keys, keys.shape[0], heads, query.shape[-1] // heads)
        return function(*args, **(kwargs or {}))

    def note(self, query_tokens: int, keys: Tensor, context_tokens: int, heads: int, head_width: int) -> None:
        self.found.append(
            {
                "where": self.watch.innermost,
                "query_tokens": query_tokens,
                "context_tokens": context_tokens,
                "heads": heads,
                "head_width": head_width,
                # Token counts do not tell: 16×16 pixels may meet 256 context tokens.
                "kind": "self" if storage_of(keys) in self.memory.image else "cross",
            }
        )


def trace_step(
    denoiser: nn.Module,
    loss: Callable[[], Tensor],  # the step's forward pass, to a scalar
    batch: Sequence[Tensor],  # alive throughout the step
    from_image: Sequence[Tensor],  # those of it that hold images
) -> Trace:
    """Run one forward and backward pass and account for it; gradients are dropped afterwards."""
    denoiser.zero_grad(set_to_none=True)
    memory = Bytes([*denoiser.parameters(), *denoiser.buffers()], batch, from_image)
    watch = ModuleWatch(denoiser)
    attentions = Attentions(watch, memory)
    saved: Counter[Place] = Counter()

    def pack(tensor: Tensor) -> Tensor:
        saved[watch.place(tensor)] += memory.turn(tensor, "saved")
        return tensor

    calls = CallWatch(denoiser, lambda: (memory.flops.total(), saved.total()))
    with noted_gradients(denoiser, memory), memory:
        with watch, calls, attentions, torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            value = loss()
        forward = Counter(memory.flops)
        value.backward()
    by_level: Counter[str] = Counter()
    for place, count in saved.items():
        by_level[watch.level(place)] += count
    return Trace(
        hook_sum_bytes=watch.output_bytes,
        saved_bytes=sum(saved.values()),
        saved_by_level=dict(by_level),
        levels={name: watch.level((name, None)) for name in watch.modules},
        flops=by_kind("forward", forward) | by_kind("training", memory.flops),
        traffic_bytes=memory.traffic,
        peak=memory.peak,
        attention=attentions.found,
        calls=calls.calls,
    )


@contextmanager
def noted_gradients(denoiser: nn.Module, memory: Bytes) -> Iterator[None]:
    """Count each parameter's gradient as one from when it is there, and drop them all in the end."""

    def note(parameter: Tensor) -> None:
        if parameter.grad is not None:
            memory.turn(parameter.grad, "gradients")

    hooks = [p.register_post_accumulate_grad_hook(note) for p in denoiser.parameters() if p.requires_grad]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        denoiser.zero_grad(set_to_none=True)
