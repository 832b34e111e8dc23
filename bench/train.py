"""One training loop for every contestant, on accelerate."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from diffusers import get_scheduler
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, StepLR

from bench import randomness
from bench.batches import MEMORY_FORMATS, Batch, epoch_batches, prepared_ahead
from bench.checkpoint import Checkpoint
from bench.config import Optimisation, RunConfig
from bench.data.dataset import AvatarSet
from bench.diffusion import noise_schedule, training_loss
from bench.errors import RunFailed

Lap = Callable[[str], None]  # told at the end of each part of a step: data, forward, backward, optimiser, ema, else

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


@dataclass
class TrainingLog:
    """What training has done so far; every epoch's figures are kept."""

    epochs_done: int = 0
    steps_done: int = 0
    seconds_per_epoch: list[float] = field(default_factory=list)  # training alone: no sampling, no checkpoint
    loss_per_epoch: list[float] = field(default_factory=list)
    images_per_epoch: int = 0
    resumed_at_epochs: list[int] = field(default_factory=list)
    commits: list[str | None] = field(default_factory=list)  # of the code at the start and at each resume
    validation: list[dict[str, list[float]]] = field(default_factory=list)  # per epoch: raw and averaged weights


def no_lap(_part: str) -> None:
    """Training is not timed by parts: waiting for the device at each would slow it."""


def accelerator_for(config: RunConfig) -> Accelerator:
    """accelerate's view of the device and precision that the run asks for."""
    AcceleratorState._reset_state(True)  # it is one for the whole process, but a probe tries several precisions
    # The default runs convolutions in TF32 and matrix products not, which would favour the more convolutional model.
    torch.set_float32_matmul_precision("high")
    return Accelerator(cpu=config.device == "cpu", mixed_precision=config.mixed_precision)


def learning_rate_schedule(
    optimizer: torch.optim.Optimizer, plan: Optimisation, steps_per_epoch: int, epochs: int
) -> LRScheduler:
    """The recipe's schedule, stepped once per training step."""
    if plan.schedule == "step":
        return StepLR(optimizer, step_size=plan.step_epochs * steps_per_epoch, gamma=plan.step_factor)
    total = steps_per_epoch * epochs
    return get_scheduler(
        "cosine", optimizer, num_warmup_steps=round(plan.warmup_share * total), num_training_steps=total
    )


class Trainer:
    """A denoiser in training: its optimiser, schedule and average, and how to save and restore them."""

    def __init__(self, denoiser: nn.Module, config: RunConfig, train: AvatarSet) -> None:
        if len(train) < config.sizes.batch_size:
            raise RunFailed(f"{len(train)} training images do not fill a batch of {config.sizes.batch_size}")
        self.config, self.train = config, train
        self.accelerator = accelerator_for(config)
        self.memory_format = MEMORY_FORMATS[config.memory_format]
        plan = config.recipe.optimisation
        denoiser = denoiser.to(memory_format=self.memory_format)
        optimizer = OPTIMIZERS[plan.optimizer](
            denoiser.parameters(),
            lr=config.sizes.learning_rate,
            weight_decay=plan.weight_decay,
            # One pass over all parameters, and no copies of them; in fp16 accelerate could not tell a skipped step.
            fused=config.mixed_precision != "fp16",
        )
        self.denoiser, self.optimizer = self.accelerator.prepare(denoiser, optimizer)
        # Not prepared: accelerate would step the schedule once per process.
        steps = len(train) // config.sizes.batch_size
        self.lr_schedule = learning_rate_schedule(self.optimizer.optimizer, plan, steps, config.sizes.epochs)
        self.noise_schedule = noise_schedule(config.recipe)
        self.parameters = list(self.denoiser.parameters())
        decay = config.recipe.ema_decay
        self.ema = None if decay is None else EMAModel(self.parameters, decay=decay, foreach=True)
        self.log = TrainingLog(images_per_epoch=steps * config.sizes.batch_size)

    def step(self, batch: Batch, lap: Lap = no_lap) -> Tensor:
        """One update of the weights; the loss, not yet waited for."""
        loss = training_loss(
            self.denoiser, self.noise_schedule, batch.images, batch.condition, batch.noise, batch.timestep
        )
        lap("forward")
        self.accelerator.backward(loss)
        lap("backward")
        self.optimizer.step()
        self.optimizer.zero_grad()
        lap("optimiser")
        if not self.accelerator.optimizer_step_was_skipped:  # as fp16 does where a gradient overflows
            self.lr_schedule.step()
            lap("else")
            if self.ema is not None:
                self.ema.step(self.parameters)
        lap("ema")
        return loss.detach()

    def steps(self, lap: Lap = no_lap) -> Iterator[Tensor]:
        """The steps of the next epoch, each yielding its loss."""
        self.denoiser.train()
        device, layout = self.accelerator.device, self.memory_format
        batches = epoch_batches(self.train, self.config, self.log.epochs_done)
        if device.type != "cpu":  # there a thread would only take its time from the training
            batches = prepared_ahead(batches)
        for batch in batches:
            batch = batch.to(device, layout)  # in this thread: two may not use every device at once
            lap("data")
            yield self.step(batch, lap)
            lap("else")

    def run_epoch(self, on_step: Callable[[int, Tensor], None]) -> None:
        """One pass over the data, timed from the first batch to the last update."""
        device = self.accelerator.device
        losses = []
        # A contestant may draw random numbers of its own (dropout): they must not have a history either.
        torch.manual_seed(randomness.generator(self.config.seed, "contestant", self.log.epochs_done).initial_seed())
        synchronise(device)
        started = time.perf_counter()
        for index, loss in enumerate(self.steps()):
            losses.append(loss)
            on_step(index, loss)
        synchronise(device)
        seconds = time.perf_counter() - started
        mean = torch.stack(losses).mean().item()
        if not torch.isfinite(torch.tensor(mean)):
            raise RunFailed(f"diverged in epoch {self.log.epochs_done + 1}: the loss is {mean}")
        self.log.seconds_per_epoch.append(seconds)
        self.log.loss_per_epoch.append(mean)
        self.log.epochs_done += 1
        self.log.steps_done += len(losses)

    def raw(self) -> nn.Module:
        """The denoiser with the weights that it is trained with, ready to be asked."""
        return self.denoiser.eval()

    @contextmanager
    def averaged(self) -> Iterator[nn.Module]:
        """The denoiser with its averaged weights, if the recipe keeps an average; afterwards the raw ones again."""
        self.denoiser.eval()
        if self.ema is None:
            yield self.denoiser
            return
        self.ema.store(self.parameters)
        self.ema.copy_to(self.parameters)
        try:
            yield self.denoiser
        finally:
            self.ema.restore(self.parameters)

    def to_checkpoint(self) -> Checkpoint:
        model = self.accelerator.unwrap_model(self.denoiser)
        optimizer = self.optimizer.state_dict()
        tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
        for index, entries in optimizer["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in entries.items()}
        if self.ema is not None:
            tensors |= {f"ema.{i}": tensor for i, tensor in enumerate(self.ema.shadow_params)}
        state = {
            "log": asdict(self.log),
            "param_groups": optimizer["param_groups"],
            "lr_schedule": {
                key: value
                for key, value in self.lr_schedule.state_dict().items()
                if key in ("last_epoch", "_step_count", "base_lrs", "_last_lr")
            },
            "scaler": None if self.accelerator.scaler is None else self.accelerator.scaler.state_dict(),
            "ema_steps": None if self.ema is None else self.ema.optimization_step,
        }
        return Checkpoint({k: v.detach().cpu().clone() for k, v in tensors.items()}, state)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take up training where a checkpoint left it."""
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}, "ema": {}}
        for key, tensor in checkpoint.tensors.items():
            part, _, name = key.partition(".")
            # laid out as the weights are: mixed layouts would slow every update after a resume
            parts[part][name] = tensor.to(memory_format=self.memory_format) if tensor.dim() == 4 else tensor
        self.accelerator.unwrap_model(self.denoiser).load_state_dict(parts["model"])
        entries: dict[int, dict[str, Any]] = {}
        for key, tensor in parts["optimizer"].items():
            index, _, name = key.partition(".")
            entries.setdefault(int(index), {})[name] = tensor
        self.optimizer.load_state_dict({"state": entries, "param_groups": checkpoint.state["param_groups"]})
        self.lr_schedule.load_state_dict(self.lr_schedule.state_dict() | checkpoint.state["lr_schedule"])
        if self.ema is not None:
            self.ema.shadow_params = [parts["ema"][str(i)] for i in range(len(parts["ema"]))]
            self.ema.to(self.accelerator.device)
            self.ema.optimization_step = checkpoint.state["ema_steps"]
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(checkpoint.state["scaler"])
        self.log = TrainingLog(**checkpoint.state["log"])
        self.log.resumed_at_epochs.append(self.log.epochs_done)


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was asked, so that a clock reads the work and not the asking."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
