"""A training step watched operation by operation: the bytes alive, the bytes read and written, the FLOPs."""

import weakref
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

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


@dataclass
class Peak:
    """Peak live tensor memory by kind, and the operation running at the peak."""

    bytes: int = 0
    kinds: dict[str, int] = field(default_factory=dict)  # gradients, saved, batch, transient
    operation: str = ""


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
        self.image: set[int] = {storage_of(tensor) for tensor in from_image}  # what depends on the noisy image
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
        inputs = {storage_of(tensor) for tensor in read}
        outputs = {self.meet(tensor, "transient") for tensor in written}
        if inputs & self.image:
            self.image |= outputs
        packet = function._overloadpacket
        if packet in FORMULAS:
            self.flops[packet] += FORMULAS[packet](*args, **(kwargs or {}), out_val=result)
        view = outputs <= inputs and not function._schema.is_mutable
        if not view and packet not in UNWRITTEN:
            self.traffic += bytes_of(written) + bytes_of(read[1:] if packet in OVERWRITE else read)
        if self.total > self.peak.bytes:
            self.peak = Peak(self.total, dict(self.alive), f"{packet} on {tuple(read[0].shape) if read else ()}")
        return result


def tensors(values: Any) -> list[Tensor]:
    """The tensors among an operation's arguments or results, also in lists of them; pytree would take longer."""
    if isinstance(values, Tensor):
        return [values]
    return [tensor for value in values for tensor in tensors(value)] if isinstance(values, (tuple, list)) else []


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """Their bytes, as far as they are looked at: an expanded tensor counts as it is read."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def storage_of(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


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
