"""A trainer to a checkpoint and back: everything that training resumes from, and nothing random."""

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import BadInput
from bench.storage.checkpoint import Checkpoint
from bench.training.trainer import Trainer, TrainingLog

SCHEDULE = ("last_epoch", "_step_count", "base_lrs", "_last_lr")


def to_checkpoint(trainer: Trainer) -> Checkpoint:
    """What stands now, with the raw weights, copied to the CPU."""
    trainer.put_raw_weights_back()
    optimizer = trainer.optimizer.state_dict()
    tensors = {f"model.{name}": tensor for name, tensor in bare(trainer).state_dict().items()}
    for index, entries in optimizer["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in entries.items()}
    if trainer.ema is not None:
        tensors |= {f"ema.{i}": tensor for i, tensor in enumerate(trainer.ema.shadow_params)}
    scaler = trainer.accelerator.scaler
    state = {
        "log": asdict(trainer.log) | {"epoch_losses": [loss.item() for loss in trainer.losses]},
        "param_groups": optimizer["param_groups"],
        "stepped": list(optimizer["state"]),  # a weight without a gradient has no moments
        "lr_schedule": {name: trainer.lr_schedule.state_dict()[name] for name in SCHEDULE},
        "scaler": None if scaler is None else scaler.state_dict(),
        "ema_steps": None if trainer.ema is None else trainer.ema.optimization_step,
    }
    return Checkpoint({name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}, state)


def restore(trainer: Trainer, checkpoint: Checkpoint) -> None:
    """Take up training where a checkpoint left it; BadInput if it is of another model or optimiser."""
    state, device = checkpoint.state, trainer.accelerator.device
    refuse_others(checkpoint.tensors, expected(trainer, state["stepped"]))
    parts = by_part(checkpoint.tensors, trainer.memory_format)
    bare(trainer).load_state_dict(parts["model"])
    entries: dict[int, dict[str, Any]] = {}
    for key, tensor in parts["optimizer"].items():
        index, _, name = key.partition(".")
        entries.setdefault(int(index), {})[name] = tensor
    trainer.optimizer.load_state_dict({"state": entries, "param_groups": state["param_groups"]})
    trainer.lr_schedule.load_state_dict(trainer.lr_schedule.state_dict() | state["lr_schedule"])
    if trainer.ema is not None:
        trainer.ema.shadow_params = [parts["ema"][str(i)] for i in range(len(parts["ema"]))]
        trainer.ema.to(device)
        trainer.ema.optimization_step = state["ema_steps"]
    if trainer.accelerator.scaler is not None:
        trainer.accelerator.scaler.load_state_dict(state["scaler"])
    trainer.log = TrainingLog(**state["log"])
    trainer.losses = list(torch.tensor(trainer.log.epoch_losses, device=device))
    trainer.log.epoch_losses = []
    trainer.log.resumed_at_epochs.append(trainer.log.epochs_done)


def bare(trainer: Trainer) -> nn.Module:
    """The denoiser without what several processes wrap around it."""
    return trainer.accelerator.unwrap_model(trainer.denoiser)


def by_part(tensors: dict[str, Tensor], layout: torch.memory_format) -> dict[str, dict[str, Tensor]]:
    """Tensors by what they belong to, laid out as the weights are: mixed layouts would slow every later update."""
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}, "ema": {}}
    for key, tensor in tensors.items():
        part, _, name = key.partition(".")
        parts[part][name] = tensor.to(memory_format=layout) if tensor.dim() == 4 else tensor
    return parts


def expected(trainer: Trainer, stepped: list[int]) -> dict[str, Tensor]:
    """A tensor of the right shape and kind for every name in a checkpoint; `stepped` weights have moments."""
    found = {f"model.{name}": tensor for name, tensor in bare(trainer).state_dict().items()}
    for index in stepped:
        found[f"optimizer.{index}.step"] = torch.zeros(())
        found |= {f"optimizer.{index}.{moment}": trainer.parameters[index] for moment in ("exp_avg", "exp_avg_sq")}
    averages = [] if trainer.ema is None else trainer.parameters
    return found | {f"ema.{index}": parameter for index, parameter in enumerate(averages)}


def refuse_others(tensors: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """BadInput that lists every tensor that is missing, one too many, or of another shape or kind."""
    problems = [f"{name} is missing" for name in sorted(expected.keys() - tensors.keys())]
    problems += [f"{name} is one too many" for name in sorted(tensors.keys() - expected.keys())]
    for name in sorted(expected.keys() & tensors.keys()):
        found, wanted = tensors[name], expected[name]
        if (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
            problems.append(f"{name} is {tuple(found.shape)} {found.dtype}, not {tuple(wanted.shape)} {wanted.dtype}")
    if problems:
        raise BadInput(f"the checkpoint is of another model: {'; '.join(problems)}. Start over with --fresh")
