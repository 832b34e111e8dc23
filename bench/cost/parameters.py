"""Counting parameters and the bytes that training keeps for each."""

from collections import Counter

from torch import nn


def count_parameters(denoiser: nn.Module) -> dict[str, int | None]:
    """Trainable parameters in all, of `tau` and of the rest; a model without a `tau` has no such parts to tell."""
    total = trainable(denoiser)
    tau = getattr(denoiser, "tau", None)
    if not isinstance(tau, nn.Module):
        return {"total": total, "unet": None, "tau": None}
    return {"total": total, "unet": total - trainable(tau), "tau": trainable(tau)}


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
