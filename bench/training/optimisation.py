"""Optimiser, learning-rate schedule, and accelerate's view of device and precision."""

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.state import AcceleratorState
from diffusers import get_scheduler
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, StepLR

from bench import distributed
from bench.config import Optimisation, RunConfig
from bench.training.budgets import Window, decay_factor

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def accelerator_for(config: RunConfig, checkpoint_bytes: int) -> Accelerator:
    """accelerate's view of the device and precision that the run asks for, and its patience with other processes."""
    AcceleratorState._reset_state(True)  # it is one for the whole process, but a probe tries several precisions
    # The default runs convolutions in TF32 and matrix products not, which would favour the more convolutional model.
    torch.set_float32_matmul_precision("high")
    patience = InitProcessGroupKwargs(timeout=distributed.patience(checkpoint_bytes))
    return Accelerator(cpu=config.device == "cpu", mixed_precision=config.mixed_precision, kwargs_handlers=[patience])


def learning_rate_schedule(
    optimizer: torch.optim.Optimizer,
    plan: Optimisation,
    steps_per_epoch: int,
    last: int,  # the steps after which the last model is finished
    shortest: int,  # … and that of the smallest budget of images
    window: Window = lambda: None,
) -> LRScheduler:
    """The recipe's schedule, stepped once per training step."""
    if plan.schedule == "step":
        return StepLR(optimizer, step_size=plan.step_epochs * steps_per_epoch, gamma=plan.step_factor)
    if plan.schedule == "decay":
        return LambdaLR(optimizer, decay_factor(plan, shortest, window))
    return get_scheduler("cosine", optimizer, num_warmup_steps=round(plan.warmup_share * last), num_training_steps=last)
