"""Counting parameters and the bytes that training keeps for each."""

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


def training_bytes(denoiser: nn.Module) -> dict[str, int]:
    """Bytes of the weights, of Adam's two moments, and of the gradients."""
    weights = sum(p.numel() * p.element_size() for p in denoiser.parameters())
    gradients = sum(p.numel() * p.element_size() for p in denoiser.parameters() if p.requires_grad)
    return {"weights_bytes": weights, "adam_bytes": 2 * gradients, "gradients_bytes": gradients}
