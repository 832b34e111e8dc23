"""One training step, watched operation by operation: FLOPs, bytes saved, bytes alive, attentions.

Under `without_memory` the same step runs on fake tensors: shapes and lifetimes as on a CPU, no memory, no arithmetic.
(The meta device will not do: there attention falls back to its written-out form, which saves far more.)
"""

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from bench.cost.modules import Call, CallWatch, ModuleWatch, Place

aten = torch.ops.aten
# The formulas for attention on a CPU are missing up to torch 2.14; they are those of a GPU.
FORMULAS = {
    aten._scaled_dot_product_flash_attention_for_cpu: flop_registry[aten._scaled_dot_product_flash_attention],
    aten._scaled_dot_product_flash_attention_for_cpu_backward: flop_registry[
        aten._scaled_dot_product_flash_attention_backward
    ],
} | flop_registry
LINEAR = (aten.mm, aten.addmm, aten._scaled_mm)
OVERWRITE = (aten.copy_, aten.fill_, aten.zero_)  # do not read what they write to
UNWRITTEN = (aten.empty, aten.empty_like, aten.empty_strided, aten.new_empty, aten.new_empty_strided)


@contextmanager
def without_memory() -> Iterator[None]:
    """Tensors made in here have a shape, a layout and a lifetime, and no memory."""
    with FakeTensorMode(allow_non_fake_inputs=True), torch.device("cpu"):
        yield


@dataclass
class Peak:
    """Peak live tensor memory by kind, and the operation running at the peak."""

    bytes: int = 0
    kinds: dict[str, int] = field(default_factory=dict)  # gradients, saved, batch, transient
    operation: str = ""


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


class Bytes(TorchDispatchMode):
    """Follows every storage from its first operation to its end, and counts what each operation costs."""

    def __init__(self, known: Sequence[Tensor], batch: Sequence[Tensor], from_image: Sequence[Tensor]) -> None:
        super().__init__()
        self.size: dict[int, int] = {}
        self.kind: dict[int, str] = {}
        self.ends: dict[int, weakref.ref] = {}  # their callbacks tell when a storage is gone
        self.alive: Counter[str] = Counter()
        self.total, self.traffic = 0, 0
        self.peak = Peak()
        self.flops: Counter[Any] = Counter()  # by operation
        self.image: set[int] = {key(tensor) for tensor in from_image}  # what depends on the noisy image
        for tensor in known:
            self.meet(tensor, "kept", size=0)
        for tensor in batch:
            self.meet(tensor, "batch")

    def meet(self, tensor: Tensor, kind: str, size: int | None = None) -> int:
        """Take note of a tensor's storage; its key."""
        storage = tensor.untyped_storage()
        here = storage._cdata
        if here not in self.size:
            self.size[here] = storage.nbytes() if size is None else size
            self.kind[here] = kind
            self.alive[kind] += self.size[here]
            self.total += self.size[here]
            self.ends[here] = weakref.ref(storage, lambda _: self.forget(here))
        return here

    def forget(self, here: int) -> None:
        size = self.size.pop(here)
        self.alive[self.kind.pop(here)] -= size
        self.total -= size
        self.image.discard(here)
        del self.ends[here]

    def turn(self, tensor: Tensor, kind: str) -> int:
        """Count a living storage as another kind from now on; the bytes that were not of it before."""
        here = self.meet(tensor, kind)
        before = self.kind[here]
        if before in (kind, "kept"):
            return 0
        self.alive[before] -= self.size[here]
        self.alive[kind] += self.size[here]
        self.kind[here] = kind
        return self.size[here]

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if function is torch.ops.prim.device.default:  # a question, and by far the commonest
            return result
        read, written = tensors(args), tensors(result)
        inputs = {key(tensor) for tensor in read}
        outputs = {self.meet(tensor, "transient") for tensor in written}
        if inputs & self.image:
            self.image |= outputs
        packet = function._overloadpacket
        if packet in FORMULAS:
            self.flops[packet] += FORMULAS[packet](*args, **(kwargs or {}), out_val=result)
        view = outputs <= inputs and not function._schema.is_mutable
        if not view and packet not in UNWRITTEN:
            self.traffic += size(written) + size(read[1:] if packet in OVERWRITE else read)
        if self.total > self.peak.bytes:
            self.peak = Peak(self.total, dict(self.alive), f"{packet} on {tuple(read[0].shape) if read else ()}")
        return result


def tensors(values: Any) -> list[Tensor]:
    """The tensors among an operation's arguments or results, also in lists of them; pytree would take longer."""
    if isinstance(values, Tensor):
        return [values]
    return [tensor for value in values for tensor in tensors(value)] if isinstance(values, (tuple, list)) else []


def size(tensors: Iterable[Tensor]) -> int:
    """Their bytes, as far as they are looked at: an expanded tensor counts as it is read."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


ATTENTION_ARGUMENTS = ("query", "key", "value", "embed_dim_to_check", "num_heads")  # by position; the first 3 in both


class Attentions(TorchFunctionMode):
    """Notes the shapes of every `scaled_dot_product_attention` and every `nn.MultiheadAttention` under it."""

    def __init__(self, watch: ModuleWatch, memory: Bytes) -> None:
        super().__init__()
        self.watch, self.memory = watch, memory
        self.found: list[dict[str, Any]] = []

    def __torch_function__(self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if function in (F.scaled_dot_product_attention, F.multi_head_attention_forward):
            told: dict[str, Any] = dict(zip(ATTENTION_ARGUMENTS, args, strict=False)) | (kwargs or {})
            query, keys = told["query"], told["key"]
            if function is F.scaled_dot_product_attention:  # (B, heads, tokens, head width)
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
                "kind": "self" if key(keys) in self.memory.image else "cross",
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


def by_kind(what: str, operations: Counter[Any]) -> dict[str, int]:
    """FLOPs of the operations in all and by kind: `forward`, `forward_conv` and so on."""
    kinds = Counter({kind: 0 for kind in ("conv", "linear", "attention")})
    for packet, count in operations.items():
        kinds[kind_of(packet)] += count
    return {what: operations.total(), **{f"{what}_{kind}": count for kind, count in kinds.items()}}


def kind_of(packet: Any) -> str:
    """A layer's weight is a single matrix; a product of two batches of them is attention's, written out."""
    if packet in LINEAR:
        return "linear"
    return "conv" if "conv" in str(packet) else "attention"
