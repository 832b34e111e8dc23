"""When training is saved: at intervals of time, when a signal asks, and at its end."""

import time
from pathlib import Path

import torch

from bench import distributed
from bench.errors import CannotWrite, RunFailed
from bench.stopping import Stopped, Stopping
from bench.storage.checkpoint import save_checkpoint
from bench.training.state import to_checkpoint
from bench.training.trainer import Maintenance, Trainer

INTERVAL = 120.0  # seconds of training between two checkpoints, unless they take too much of it
LARGEST_SHARE = 0.02  # of the time, that checkpoints at the default interval may take


class Each:
    """Several kinds of maintenance, each done where it is due."""

    def __init__(self, *kinds: Maintenance) -> None:
        self.kinds = kinds

    def due(self) -> bool:
        return any(kind.due() for kind in self.kinds)

    def save(self, trainer: Trainer) -> None:
        for kind in self.kinds:
            if kind.due():
                kind.save(trainer)


class Saver:
    """Saves a trainer where it is due, and counts what that costs."""

    def __init__(self, folder: Path, begun: Path, stopping: Stopping, interval: float | None = None) -> None:
        self.folder, self.stopping, self.interval = folder, stopping, interval
        self.begun = begun  # a file that is there as long as the results folder is
        self.seconds = 0.0  # that the last one took
        self.last = time.perf_counter()
        self.saved_at: tuple[int, int, int] | None = None

    def due(self) -> bool:
        """Whether to save now: it is asked for, or the interval is over. Only the first of several processes saves."""
        wait = max(INTERVAL, self.seconds / LARGEST_SHARE) if self.interval is None else self.interval
        return distributed.rank() == 0 and (self.stopping.asked or time.perf_counter() - self.last >= wait)

    def save(self, trainer: Trainer) -> None:
        """Save what stands; RunFailed, and nothing saved, if any of it is not finite or the run's folder is gone."""
        if distributed.rank() > 0:
            return
        at = (trainer.log.leg, *trainer.position())
        if self.saved_at == at:
            return  # and asked again at the same place
        if not self.begun.exists():
            raise CannotWrite(self.folder, FileNotFoundError(2, "the results folder was removed while it ran"))
        started = time.perf_counter()
        log, checkpoint = trainer.log, to_checkpoint(trainer)
        constant = {f"model.{name}" for name, _ in trainer.raw().named_buffers()}  # such as a mask of -inf
        for name, tensor in checkpoint.tensors.items():
            if name not in constant and not torch.isfinite(tensor).all():
                raise RunFailed(f"diverged at step {log.steps_done}: {name} is not finite")
        save_checkpoint(self.folder, at, checkpoint)
        self.saved_at, self.last = at, time.perf_counter()
        self.seconds = self.last - started
        log.checkpoints += 1
        log.checkpoint_seconds += self.seconds
        if self.stopping.asked:
            raise Stopped
