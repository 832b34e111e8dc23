"""Reading a forward pass: bytes of activations, FLOPs and attentions. On the meta device nothing is allocated."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

# A product of two batches of matrices is attention's, written out; a layer's weight is a single matrix.
FLOP_KINDS = {"conv": ("convolution",), "linear": ("mm", "addmm"), "attention": ("attention", "bmm", "baddbmm")}


def example_inputs(condition_width: int, image_size: int, batch_size: int) -> tuple[Tensor, Tensor, Tensor]:
    """A batch of the contract's inputs on the current default device."""
    images = torch.zeros(batch_size, 3, image_size, image_size)
    return images, torch.zeros(batch_size, dtype=torch.long), torch.zeros(batch_size, condition_width)


def activation_bytes(denoiser: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, int]:
    """Bytes of every module's output (the source's measure), and of what autograd saves (each storage once)."""
    kept = {parameter.untyped_storage()._cdata for parameter in denoiser.parameters()}
    saved: dict[int, Tensor] = {}
    outputs = 0

    def add_output(_module: nn.Module, _inputs: Any, output: Any) -> None:
        nonlocal outputs
        if isinstance(output, Tensor):
            outputs += output.numel() * output.element_size()

    def pack(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage()._cdata not in kept:
            saved[tensor.untyped_storage()._cdata] = tensor  # keeps the storage alive, so its address stays its own
        return tensor

    hooks = [module.register_forward_hook(add_output) for module in denoiser.modules()]
    try:
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            result = denoiser(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    del result
    return {
        "hook_sum_bytes": outputs,
        "saved_bytes": sum(t.untyped_storage().nbytes() for t in saved.values()),
    }


def flops(denoiser: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, int]:
    """Floating-point operations of a forward pass by kind, and of forward and backward together."""
    counter = FlopCounterMode(display=False)
    with counter:
        output = denoiser(*inputs)
        by_operation = dict(counter.get_flop_counts()["Global"])
        output.sum().backward()
    denoiser.zero_grad(set_to_none=True)
    kinds = {
        kind: sum(count for operation, count in by_operation.items() if matches(str(operation), words))
        for kind, words in FLOP_KINDS.items()
    }
    return {"forward": sum(by_operation.values()), "training": counter.get_total_flops(), **kinds}


def matches(operation: str, words: tuple[str, ...]) -> bool:
    name = operation.removeprefix("aten.").split(".")[0]
    return any(name == word or (len(word) > 5 and word in name) for word in words)


def attentions(denoiser: nn.Module, condition_width: int, image_size: int) -> list[dict[str, Any]]:
    """Every attention of a forward pass as it really runs: where, tokens, heads, head width, self or cross.

    Token counts alone do not tell self from cross (16×16 pixels may meet 256 context tokens). An image twice as
    large does: the keys of self attention grow with it, those of cross attention do not.
    """
    found = record_attentions(denoiser, condition_width, image_size)
    try:
        larger = record_attentions(denoiser, condition_width, 2 * image_size)
    except Exception:  # a user's model of one size only
        larger = []
    if len(larger) != len(found):
        return [here | {"kind": "unknown"} for here in found]
    return [
        here | {"kind": "cross" if here["context_tokens"] == there["context_tokens"] else "self"}
        for here, there in zip(found, larger, strict=True)
    ]


def record_attentions(denoiser: nn.Module, condition_width: int, image_size: int) -> list[dict[str, Any]]:
    inputs = example_inputs(condition_width, image_size, batch_size=1)
    with module_names(denoiser) as where, RecordAttention(where) as record, torch.no_grad():
        denoiser(*inputs)
    return record.found


class RecordAttention(TorchFunctionMode):
    """Notes the shapes of every `scaled_dot_product_attention` under it: (B, heads, tokens, head width)."""

    def __init__(self, where: list[str]) -> None:
        super().__init__()
        self.where = where
        self.found: list[dict[str, Any]] = []

    def __torch_function__(self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if function is F.scaled_dot_product_attention:
            names = dict(zip(("query", "key"), args, strict=False)) | (kwargs or {})
            query, key = names["query"], names["key"]
            self.found.append(
                {
                    "where": self.where[-1] if self.where else "",
                    "query_tokens": query.shape[-2],
                    "context_tokens": key.shape[-2],
                    "heads": query.shape[1],
                    "head_width": query.shape[-1],
                }
            )
        return function(*args, **(kwargs or {}))


@contextmanager
def module_names(denoiser: nn.Module) -> Iterator[list[str]]:
    """A stack of the names of the modules that are being run, innermost last."""
    stack: list[str] = []

    def enter(_module: nn.Module, _inputs: Any, name: str) -> None:
        stack.append(name)

    def leave(_module: nn.Module, _inputs: Any, _output: Any) -> None:
        stack.pop()

    hooks: list[Any] = []
    for name, module in denoiser.named_modules():
        hooks.append(module.register_forward_pre_hook(functools.partial(enter, name=name)))
        hooks.append(module.register_forward_hook(leave))
    try:
        yield stack
    finally:
        for hook in hooks:
            hook.remove()
