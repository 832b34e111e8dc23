"""What a contestant costs to train, read off its training step without the memory for it: any size, any machine."""

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException
from torch.nn import functional as F
from torch.overrides import handle_torch_function, has_torch_function

from bench import contestants
from bench.config import MATCHED, Recipe, RunConfig
from bench.contestants import MEMORY_FORMATS
from bench.cost.operations import bytes_of
from bench.cost.terms import finest_first
from bench.cost.trace import Trace, trace_step, without_memory
from bench.errors import BadContestant, BadInput
from bench.sampling.diffusion import noise_schedule, training_loss

FROM_TRACE = ("activations", "predicted_peak", "flops_per_image", "traffic_bytes_per_step", "levels")
RESTING = ("weights", "adam", "ema")  # what is kept between steps
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
HEAD_MULTIPLE = {"cuda": 8}  # as an H100 was seen to: flash attention has heads of such a width


@dataclass(frozen=True)
class Setting:
    """The training step to be accounted for."""

    condition_width: int
    image_size: int
    scale: float
    batch_size: int
    mixed_precision: str = "no"
    memory_format: str = "channels_last"
    device: str = "cpu"  # whose rules for mixed precision hold
    gradient_checkpointing: bool = False


def setting_of(run: RunConfig, condition_width: int) -> Setting:
    """A run's own training step."""
    return Setting(
        condition_width,
        run.sizes.image_size,
        run.sizes.scale,
        run.sizes.batch_size,
        run.mixed_precision,
        run.memory_format,
        run.device,
    )


def published(batch_size: int) -> Setting:
    """The size that the blog post publishes: scale 1, 64×64, Cartoon Set's 217-wide condition."""
    return Setting(contestants.PUBLISHED_CONDITION_WIDTH, contestants.PUBLISHED_IMAGE_SIZE, 1.0, batch_size)


def account(name: str, setting: Setting, recipe: Recipe = MATCHED) -> dict[str, Any]:
    """Parameters, bytes kept for them, activations, predicted peak, FLOPs and attentions of a training step.

    A model that cannot be followed without memory (one that reads its tensors' values, say) has None for what
    only the step could have told, and `untraced` says why.
    """
    size_of_it = setting.condition_width, setting.image_size, setting.scale
    try:
        with without_memory():
            denoiser = contestants.try_build(name, *size_of_it)
            counted = count(denoiser, setting, recipe)
            try:
                traced = trace(denoiser, setting, recipe)
            except Exception as error:
                if contestants.is_ours(name):
                    raise
                return counted | untraced(name, error)
            resting = sum(counted[f"{kind}_bytes"] for kind in RESTING) + bytes_of(denoiser.buffers())
            return counted | from_trace(traced, denoiser, setting, resting)
    except BadContestant as error:  # it cannot be built without memory: then with it, or that raises again
        return count(contestants.try_build(name, *size_of_it), setting, recipe) | untraced(name, error)


def count(denoiser: nn.Module, setting: Setting, recipe: Recipe) -> dict[str, Any]:
    """What is known of a model before it is called."""
    averaged = recipe.ema_decay is not None
    return asdict(setting) | {
        "averaged": averaged,
        "parameters": count_parameters(denoiser),
        **training_bytes(denoiser, averaged),
        "untraced": None,
        "time_embedding": time_embedding(denoiser),
    }


def untraced(name: str, error: Exception) -> dict[str, Any]:
    """What an account has of a step that cannot be followed, which is said."""
    why = f"{type(error.__cause__ or error).__name__}: {error.__cause__ or error}".splitlines()[0]
    if isinstance(error.__cause__ or error, DataDependentOutputException):
        why += "; it reads a tensor's value (`.item()`, `if tensor:`), and here there are none"
    print(f"{name}: its training step could not be followed: {why}", file=sys.stderr)
    return dict.fromkeys(FROM_TRACE) | {"attention": [], "untraced": why}


def trace(denoiser: nn.Module, setting: Setting, recipe: Recipe) -> Trace:
    """The harness' training step on tensors without memory; its FLOPs are those of the model, not of widened heads."""
    if setting.mixed_precision == "no" or setting.device == "cpu":
        return trace_with(denoiser, setting, recipe, contextlib.nullcontext())
    multiple = HEAD_MULTIPLE.get(setting.device, 1)
    found = trace_with(denoiser, setting, recipe, as_on_a_gpu(multiple))
    if any(each["head_width"] % multiple for each in found.attention):
        plain = trace_with(denoiser, setting, recipe, as_on_a_gpu(1))
        found = replace(found, flops=plain.flops, traffic_bytes=plain.traffic_bytes, calls=plain.calls)
    return found


def trace_with(
    denoiser: nn.Module, setting: Setting, recipe: Recipe, rules: contextlib.AbstractContextManager[None]
) -> Trace:
    """The step, forward and backward, by a device's rules."""
    layout = MEMORY_FORMATS[setting.memory_format]
    for parameter in denoiser.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.to(memory_format=layout)  # `Module.to` would swap what cannot be swapped
    if setting.gradient_checkpointing:
        checkpoint_gradients(denoiser)
    shape = (setting.batch_size, 3, setting.image_size, setting.image_size)
    images, noise = (torch.zeros(shape).to(memory_format=layout) for _ in range(2))
    timestep = torch.zeros(setting.batch_size, dtype=torch.long)
    condition = torch.zeros(setting.batch_size, setting.condition_width)
    schedule = noise_schedule(recipe)
    precision = AUTOCAST.get(setting.mixed_precision)

    def loss() -> Tensor:
        with torch.autocast("cpu", dtype=precision, enabled=precision is not None):
            return training_loss(denoiser, schedule, images, condition, noise, timestep)

    with rules:
        return trace_step(denoiser, loss, (images, noise, timestep, condition), from_image=(images, noise))


@contextlib.contextmanager
def as_on_a_gpu(multiple: int) -> Iterator[None]:
    """Normalisations in fp32 and heads of a multiple of some width, as on a GPU in half precision and not on a CPU.

    A TorchFunctionMode would not reach the backward pass, where gradient checkpointing computes them again.
    """
    attention = F.scaled_dot_product_attention

    def in_float(norm: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda x, *args, **kwargs: norm(x.float(), *args, **kwargs)

    def widened(query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Attention with heads as flash attention, which takes no mask, widens them and keeps them for later."""
        if has_torch_function((query, key, value)):  # a mode is to see them as they are
            return handle_torch_function(widened, (query, key, value), query, key, value, *args, **kwargs)
        given, width, masked = (query, key, value), query.shape[-1], bool(args) or kwargs.get("attn_mask") is not None
        missing = -width % multiple
        alike = all(each.shape[-1] == width and each.dtype != torch.float32 for each in given)
        if not missing or masked or not alike:
            return attention(query, key, value, *args, **kwargs)
        # The default scale becomes that of the wider heads, which does not matter without numbers.
        query, key, value = (F.pad(each, (0, missing)) for each in given)
        return attention(query, key, value, *args, **kwargs)[..., :width]

    norms = in_float(F.group_norm), in_float(F.layer_norm)
    with patch.multiple(F, group_norm=norms[0], layer_norm=norms[1], scaled_dot_product_attention=widened):
        yield


def checkpoint_gradients(denoiser: nn.Module) -> None:
    """Have the denoiser compute its activations again in the backward pass; BadInput if it does not know how to."""
    enable = getattr(denoiser, "enable_gradient_checkpointing", None)
    if enable is None:
        raise BadInput("it has no `enable_gradient_checkpointing()`")
    enable()


def from_trace(traced: Trace, denoiser: nn.Module, setting: Setting, kept: int) -> dict[str, Any]:
    """The part of an account that the step has told; `kept` are the bytes of weights, moments and average."""
    parameters = parameters_by_level(denoiser, traced.levels)
    saved, peak = traced.saved_by_level, traced.peak
    return {
        "activations": {"hook_sum_bytes": traced.hook_sum_bytes, "saved_bytes": traced.saved_bytes},
        "predicted_peak": {
            "bytes": kept + peak.bytes,
            "kept_bytes": kept,
            **{f"{kind}_bytes": peak.kinds.get(kind, 0) for kind in ("gradients", "saved", "batch", "transient")},
            "operation": peak.operation,
        },
        "flops_per_image": {kind: count / setting.batch_size for kind, count in traced.flops.items()},
        "traffic_bytes_per_step": traced.traffic_bytes,
        "levels": {
            level: {"parameters": parameters.get(level, 0), "saved_bytes": saved.get(level, 0)}
            for level in finest_first(parameters.keys() | saved.keys())
        },
        "attention": traced.attention,
    }


def one_token(attention: list[dict[str, Any]]) -> list[str]:
    """Where cross attention has a single token to attend to: its softmax is 1 whatever the query, heads or not."""
    return [here["where"] for here in attention if here["kind"] == "cross" and here["context_tokens"] == 1]


def count_parameters(denoiser: nn.Module) -> dict[str, int | None]:
    """Trainable parameters in all, of `tau` and of the rest; a model without a `tau` has no such parts to tell."""
    total = trainable(denoiser)
    tau = getattr(denoiser, "tau", None)
    if not isinstance(tau, nn.Module):
        return {"total": total, "unet": None, "tau": None}
    return {"total": total, "unet": total - trainable(tau), "tau": trainable(tau)}


def time_embedding(denoiser: nn.Module) -> dict[str, int] | None:
    """The first linear layer below a module whose name speaks of time: it takes the sines and cosines."""
    layers = (m for name, m in denoiser.named_modules() if "time" in name and isinstance(m, nn.Linear))
    first = next(layers, None)
    return None if first is None else {"frequencies": first.in_features, "width": first.out_features}


def trainable(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def parameters_by_level(denoiser: nn.Module, levels: dict[str, str]) -> dict[str, int]:
    """Trainable parameters of every level; `levels` gives each module's by its name."""
    found: Counter[str] = Counter()
    for name, parameter in denoiser.named_parameters():
        if parameter.requires_grad:
            found[levels[name.rpartition(".")[0]]] += parameter.numel()
    return dict(found)


def training_bytes(denoiser: nn.Module, averaged: bool) -> dict[str, int]:
    """Bytes of the weights, of Adam's two moments, of the gradients, and of the averaged weights if they are kept."""
    weights = sum(p.numel() * p.element_size() for p in denoiser.parameters())
    gradients = sum(p.numel() * p.element_size() for p in denoiser.parameters() if p.requires_grad)
    return {
        "weights_bytes": weights,
        "adam_bytes": 2 * gradients,
        "gradients_bytes": gradients,
        "ema_bytes": weights if averaged else 0,
    }
