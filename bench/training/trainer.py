"""One training loop for every contestant, on accelerate."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from bench import distributed, randomness
from bench.config import RunConfig
from bench.contestants import MEMORY_FORMATS
from bench.data.dataset import AvatarSet
from bench.errors import RunFailed
from bench.sampling.diffusion import noise_schedule, training_loss
from bench.storage.checkpoint import COPIES
from bench.training.batches import Batch, EpochBatches, prepared_ahead, steps_per_epoch
from bench.training.budgets import decay_start, ends, shortest
from bench.training.optimisation import OPTIMIZERS, accelerator_for, learning_rate_schedule

Lap = Callable[[str], None]  # told at the end of each part of a step: data, forward, backward, optimiser, ema, else

CHECK_EVERY = 10  # steps between two looks at whether all is finite, on an accelerator: each look waits for it


@dataclass
class TrainingLog:
    """What training has done so far; every epoch's figures are kept."""

    epochs_done: int = 0
    steps_done: int = 0  # in all
    epoch_steps: int = 0  # of the epoch that is not done yet, with its seconds and losses
    epoch_seconds: float = 0.0
    epoch_losses: list[float] = field(default_factory=list)
    seconds_per_epoch: list[float] = field(default_factory=list)  # training alone: no sampling, no checkpoint
    loss_per_epoch: list[float] = field(default_factory=list)
    images_per_epoch: int = 0
    resumed_at_epochs: list[int] = field(default_factory=list)
    starts: list[dict[str, Any]] = field(default_factory=list)  # at which step, by what code, on what machine
    checkpoints: int = 0
    checkpoint_seconds: float = 0.0
    watched_seconds: float = 0.0  # in all processes that have trained it, and of these beside busy neighbours
    busy_seconds: float = 0.0
    validation: list[dict[str, list[float]]] = field(default_factory=list)  # per epoch: raw and averaged weights
    falling: list[int] | None = None  # the steps between which the learning rate falls now
    points: list[dict[str, Any]] = field(default_factory=list)  # a finished model each: when, and its losses

    @property
    def leg(self) -> int:
        """How often training has begun to let its rate fall, or gone back: legs may do the same step twice."""
        return 2 * len(self.points) + (self.falling is not None)

    @property
    def seconds(self) -> float:
        """Of training alone, up to here."""
        return sum(self.seconds_per_epoch) + self.epoch_seconds


class Maintenance(Protocol):
    """What may have to be done between two steps, outside of an epoch's seconds."""

    def due(self) -> bool: ...

    def save(self, trainer: "Trainer") -> None: ...


def no_lap(_part: str) -> None:
    """Training is not timed by parts: waiting for the device at each would slow it."""


class Trainer:
    """A denoiser in training, with its optimiser, its schedule and, where the recipe keeps one, its average."""

    def __init__(self, denoiser: nn.Module, config: RunConfig, train: AvatarSet) -> None:
        if len(train) < config.sizes.batch_size:
            raise RunFailed(f"{len(train)} training images do not fill a batch of {config.sizes.batch_size}")
        self.config, self.train = config, train
        self.log = TrainingLog(images_per_epoch=steps_per_epoch(len(train), config) * config.sizes.batch_size)
        weights = sum(parameter.nbytes for parameter in denoiser.parameters())
        self.accelerator = accelerator_for(config, COPIES * weights)
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
        steps = steps_per_epoch(len(train), config)
        self.ends = ends(config, len(train))
        first = shortest(config, len(train))
        self.lr_schedule = learning_rate_schedule(
            self.optimizer.optimizer, plan, steps, self.ends[-1], first, self.window
        )
        self.noise_schedule = noise_schedule(config.recipe)
        self.parameters = list(self.denoiser.parameters())
        decay = config.recipe.ema_decay
        self.ema = None if decay is None else EMAModel(self.parameters, decay=decay, foreach=True)
        self.largest_gradient = plan.largest_gradient
        self.losses: list[Tensor] = []  # of this epoch's steps, not waited for
        device = self.accelerator.device
        self.check_every = 1 if device.type == "cpu" else CHECK_EVERY
        self.unread = 0  # steps whose finiteness has not been looked at
        self.broken_at = torch.zeros(2, device=device)  # the first steps with a broken loss, and gradient; 0: none

    def step(self, batch: Batch, lap: Lap = no_lap) -> Tensor:
        """One update of the weights, and its loss; RunFailed, once that is looked at, if a step was not finite."""
        loss = training_loss(
            self.denoiser, self.noise_schedule, batch.images, batch.condition, batch.noise, batch.timestep
        )
        lap("forward")
        self.accelerator.backward(loss)
        lap("backward")
        self.note_unless_finite(loss)
        if self.unread >= self.check_every:
            self.refuse_if_diverged()
        if self.largest_gradient is not None:
            self.accelerator.clip_grad_norm_(self.parameters, self.largest_gradient)
        lap("else")
        self.optimizer.step()
        self.optimizer.zero_grad()
        lap("optimiser")
        self.lr_schedule.step()  # of skipped steps, too: at the end of a budget the rate is zero for everyone
        lap("else")
        if self.ema is not None and not self.accelerator.optimizer_step_was_skipped:  # as where fp16 overflows
            self.ema.step(self.parameters)
        lap("ema")
        return loss.detach() if distributed.count() == 1 else self.accelerator.reduce(loss.detach(), "mean")

    def note_unless_finite(self, loss: Tensor) -> None:
        """Note, on the device and without waiting for it, the first step whose loss or gradients are not finite."""
        loss_broken = (~torch.isfinite(loss.detach())).float()
        broken = loss_broken.clone()  # and from here on more than 0 if a gradient is not finite
        if self.accelerator.scaler is None:  # which skips the steps of fp16 whose gradients overflow
            gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
            # As GradScaler asks, times 1: no public name of torch, but a norm of them all takes three times as long.
            torch._amp_foreach_non_finite_check_and_unscale_(gradients, broken, torch.ones_like(broken))
        step = self.log.steps_done + 1
        found = torch.stack([loss_broken, broken]) > 0
        self.broken_at = torch.where((self.broken_at == 0) & found, step, self.broken_at)
        self.unread += 1

    def refuse_if_diverged(self) -> None:
        """RunFailed, with its number, if a step so far had a loss or gradients that were not finite.

        On a CPU this is asked before every update; on an accelerator, where asking waits for the device, every few
        steps and before anything is saved, drawn or validated.
        """
        self.unread = 0
        loss_at, gradient_at = map(int, self.broken_at.tolist())
        if gradient_at:  # it is set where the loss is broken, too
            what = "the loss" if loss_at == gradient_at else "a gradient"
            raise RunFailed(f"diverged at step {gradient_at}: {what} is not finite")

    def steps(self, lap: Lap = no_lap, until: int | None = None) -> Iterator[Tensor]:
        """The steps of this epoch that are still to be done, before a step `until` of all, each yielding its loss."""
        self.denoiser.train()
        device, layout, epoch, first = self.accelerator.device, self.memory_format, *self.position()
        most = None if until is None else until - self.log.steps_done
        for index, batch in enumerate(islice(self.batches(epoch, first), most), start=first):
            batch = batch.to(device, layout)  # in this thread: two may not use every device at once
            # A contestant may draw random numbers of its own (dropout): they must not have a history either.
            randomness.seed_default(device, self.config.seed, "contestant", epoch, index, distributed.rank())
            lap("data")
            yield self.step(batch, lap)
            lap("else")

    def batches(self, epoch: int, first: int) -> Iterator[Batch]:
        """The batches of an epoch from its step `first` on; for an accelerator, prepared ahead by threads."""
        batches = EpochBatches(self.train, self.config, epoch)
        steps = range(first, len(batches))
        kind, layout = self.accelerator.device.type, self.memory_format
        if kind == "cpu":  # there a thread would only take its time from the training
            return (batches[step] for step in steps)
        if kind == "cuda":
            return prepared_ahead(lambda step: batches[step].pinned(layout), steps)
        return prepared_ahead(batches.__getitem__, steps)

    def position(self) -> tuple[int, int]:
        """The epoch, and how many of its steps are done."""
        return self.log.epochs_done, self.log.epoch_steps

    def window(self) -> tuple[int, int] | None:
        """The steps between which the learning rate falls now."""
        falling = self.log.falling
        return None if falling is None else (falling[0], falling[1])

    def epoch_is_over(self) -> bool:
        return self.log.epoch_steps >= steps_per_epoch(len(self.train), self.config)

    def run_epoch(
        self, on_step: Callable[[int, Tensor], None], maintenance: Maintenance | None = None, until: int | None = None
    ) -> None:
        """The rest of one pass over the data, or of it until a step; timed from its first batch to its last update."""
        device = self.accelerator.device
        synchronise(device)
        started = time.perf_counter()
        for loss in self.steps(until=until):
            self.losses.append(loss)
            self.log.epoch_steps += 1
            self.log.steps_done += 1
            on_step(self.log.epoch_steps, loss)
            if maintenance is not None and maintenance.due():
                synchronise(device)
                self.log.epoch_seconds += time.perf_counter() - started
                self.refuse_if_diverged()
                maintenance.save(self)
                started = time.perf_counter()
        synchronise(device)
        self.log.epoch_seconds += time.perf_counter() - started
        self.refuse_if_diverged()

    def train_to_end(self, on_step: Callable[[int, Tensor], None] = lambda step, loss: None) -> None:
        """All of the training to its one end, with nothing in between."""
        (end,) = self.ends
        for stop in (decay_start(self.config.recipe.optimisation, end), end):
            while self.log.steps_done < stop:
                self.run_epoch(on_step, until=stop)
                if self.epoch_is_over():
                    self.end_epoch({})
            self.log.falling = [stop, end]  # the learning rate, from here on

    def mean_loss(self) -> float:
        """Of the steps of this epoch that are done."""
        return torch.stack(self.losses).mean().item()

    def end_epoch(self, validation: dict[str, list[float]]) -> None:
        """Close the books on an epoch, with its losses on held-out images."""
        log = self.log
        log.seconds_per_epoch.append(log.epoch_seconds)
        log.loss_per_epoch.append(self.mean_loss())
        log.validation.append(validation)
        log.epochs_done += 1
        log.epoch_steps, log.epoch_seconds = 0, 0.0
        self.losses.clear()

    def raw(self) -> nn.Module:
        """The denoiser with the weights that it is trained with, ready to be asked."""
        return self.accelerator.unwrap_model(self.denoiser).eval()  # the processes may each ask it something else

    @contextmanager
    def averaged(self) -> Iterator[nn.Module]:
        """The denoiser with its averaged weights, if the recipe keeps an average; afterwards the raw ones again."""
        denoiser = self.raw()
        if self.ema is None:
            yield denoiser
            return
        if not all(torch.isfinite(average).all() for average in self.ema.shadow_params):
            raise RunFailed(f"diverged at step {self.log.steps_done}: the average of the weights is not finite")
        try:
            self.ema.store(self.parameters)
            self.ema.copy_to(self.parameters)
            yield denoiser
        finally:
            self.put_raw_weights_back()

    def put_raw_weights_back(self) -> None:
        """Undo what `averaged` did, if it did; a signal may have cut that short anywhere."""
        if self.ema is not None and self.ema.temp_stored_params is not None:
            self.ema.restore(self.parameters)


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was asked, so that a clock reads the work and not the asking."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
