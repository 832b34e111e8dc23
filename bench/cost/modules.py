"""Where a forward pass is: the module being run, the bytes that modules put out, and each module's level."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from bench.cost.terms import REST, TAU, square

Place = tuple[str, int | None]  # a module's name, and the height of the image at hand if it is one


class ModuleWatch:
    """Watches the modules of a denoiser while it is entered as a context."""

    def __init__(self, denoiser: nn.Module) -> None:
        self.modules = dict(denoiser.named_modules())
        self.output_bytes = 0  # of every module: the blog post's measure of activations
        self.stack: list[str] = []
        self.heights: dict[str, set[int]] = {name: set() for name in self.modules}  # of its images, children's too
        self.hooks: list[Any] = []

    @property
    def innermost(self) -> str:
        return self.stack[-1] if self.stack else ""

    def __enter__(self) -> "ModuleWatch":
        for name, module in self.modules.items():
            self.hooks.append(module.register_forward_pre_hook(lambda *_, name=name: self.stack.append(name)))
            self.hooks.append(module.register_forward_hook(self.leave))
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def leave(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        name = self.stack.pop()
        tensors = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
        self.output_bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        image = next((tensor for tensor in tensors if tensor.dim() == 4), None)
        if image is not None:
            for outer in self.lineage(name):
                self.heights[outer].add(image.shape[-2])

    def lineage(self, name: str) -> list[str]:
        """A module's name, its parent's, and so on to the root's, which is empty."""
        parts = name.split(".") if name else []
        return [".".join(parts[:count]) for count in range(len(parts), -1, -1)]

    def place(self, tensor: Tensor) -> Place:
        return self.innermost, tensor.shape[-2] if tensor.dim() == 4 else None

    def level(self, place: Place) -> str:
        """`64×64` for what works at that resolution, `tau`, or `rest`.

        A module is of the resolution that its images have, or else the images of the smallest module around it
        that keeps to one resolution; a tensor between modules is of its own.
        """
        name, height = place
        if name.split(".")[0] == TAU:
            return TAU
        heights = next((self.heights[n] for n in self.lineage(name) if self.heights[n]), set())
        if len(heights) == 1:
            return square(*heights)
        return REST if height is None or height not in self.heights[""] else square(height)


@dataclass
class Call:
    """One call of a module in a forward pass; the meter is read where the call begins and where it ends."""

    name: str
    input: tuple[int, ...]  # the shape of its first tensor
    before: tuple[int, ...]
    output: tuple[int, ...] = ()
    after: tuple[int, ...] = ()


class CallWatch:
    """Notes every call of a denoiser's modules, in the order of their beginning, while it is entered as a context."""

    def __init__(self, denoiser: nn.Module, meter: Callable[[], tuple[int, ...]]) -> None:
        self.modules = dict(denoiser.named_modules())
        self.meter = meter
        self.calls: list[Call] = []
        self.open: list[Call] = []
        self.hooks: list[Any] = []

    def __enter__(self) -> "CallWatch":
        for name, module in self.modules.items():
            self.hooks.append(module.register_forward_pre_hook(lambda _, inputs, name=name: self.begin(name, inputs)))
            self.hooks.append(module.register_forward_hook(self.end))
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def begin(self, name: str, inputs: Any) -> None:
        self.calls.append(Call(name, shape_of(inputs), self.meter()))
        self.open.append(self.calls[-1])

    def end(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        call = self.open.pop()
        call.output, call.after = shape_of(output), self.meter()


def shape_of(values: Any) -> tuple[int, ...]:
    """The shape of the first tensor among a module's inputs or outputs; empty if there is none."""
    return next((tuple(leaf.shape) for leaf in tree_leaves(values) if isinstance(leaf, Tensor)), ())
