"""Trackers of the user's choice (TensorBoard, Weights & Biases, …), through accelerate: told, and never in the way."""

from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker, get_available_trackers
from accelerate.utils import LoggerType
from torch import Tensor

from bench.errors import BadInput, known, line_of
from bench.training.trainer import Trainer

PROJECT = "unet-by-hand"  # to trackers that sort runs into projects
NAMES = tuple(str(kind) for kind in LoggerType if kind != LoggerType.ALL)
RUN_IS_CALLED = {
    "wandb": "name", "trackio": "name", "mlflow": "run_name", "swanlab": "experiment_name", "clearml": "task_name",
}  # fmt: skip
WITHOUT_LOGIN = ("offline", "dryrun", "disabled")  # modes of Weights & Biases
TAKE_ONE_PICTURE = ("aim", "clearml")  # where the others take several


def check_trackers(names: list[str]) -> None:
    """BadInput for a tracker that accelerate does not know, that is not installed, or that cannot log in.

    accelerate would only warn of the second, and the third would show when training has begun.
    """
    for name in names:
        known(name, NAMES, "tracker")
    here = [str(kind) for kind in get_available_trackers()]
    missing = [name for name in names if name not in here]
    if missing:
        raise BadInput(f"--report-to {','.join(missing)} is not installed: pip install {' '.join(missing)}")
    if "wandb" in names and (why := no_login_to_wandb()):
        raise BadInput(f"--report-to wandb cannot log in ({why}): run `wandb login`, or set WANDB_MODE=offline")


def no_login_to_wandb() -> str | None:
    """Why Weights & Biases would refuse a run; None if it takes one, or is told to keep runs on this machine."""
    import wandb

    try:
        if wandb.setup().settings.mode in WITHOUT_LOGIN:
            return None
        return None if wandb.login(prompt=False) else "there is no API key"
    except Exception as error:  # a wrong key, no network, and whatever a service may come up with
        return line_of(error)


class Surviving(GeneralTracker):
    """One of accelerate's trackers, left alone from the first time that it fails: training does not depend on it."""

    requires_logging_directory = False  # the one that is held has it

    def __init__(self, held: GeneralTracker, say: Callable[[str], None]) -> None:
        self.held, self.say, self.name, self.failed = held, say, held.name, False
        super().__init__()

    @property
    def tracker(self) -> Any:
        return self.held.tracker

    def start(self) -> None:
        self.attempt("start")

    def log(self, values: dict[str, float], step: int | None = None, **options: Any) -> None:
        self.attempt("log", values, step=step, **options)

    def log_images(self, strip: np.ndarray, step: int) -> None:
        """One picture (H, W, 3) of samples, for the trackers that take pictures."""
        if hasattr(self.held, "log_images"):
            options = {"dataformats": "NHWC"} if self.name == "tensorboard" else {}
            shown = strip if self.name in TAKE_ONE_PICTURE else strip[None]
            self.attempt("log_images", {"samples": shown}, step=step, **options)

    def finish(self) -> None:
        self.attempt("finish")

    def attempt(self, what: str, *values: Any, **options: Any) -> None:
        if not self.failed:
            try:
                getattr(self.held, what)(*values, **options)
            except Exception as error:  # whatever a disk, a network or a service may come up with
                self.failed = True
                self.say(f"{self.name} failed ({line_of(error)}): going on without it")


class Tracking:
    """Tells the trackers how training goes; what it notes in a step it writes after it, outside of the epoch's seconds.

    Only the first of several processes does: accelerate gives the others no trackers.
    """

    def __init__(self, trainer: Trainer, names: list[str], logs: Path, say: Callable[[str], None]) -> None:
        self.trainer, self.accelerator = trainer, trainer.accelerator
        self.noted: dict[str, float] = {}  # of the last step, and not written yet
        run, first = trainer.config.name, first_untold(trainer)
        self.accelerator.log_with = [Surviving(tracker(name, run, logs, first), say) for name in names]
        self.accelerator.init_trackers(PROJECT)

    def note(self, loss: float, images_per_second: float) -> None:
        """Remember a step's figures."""
        if self.accelerator.trackers:
            rate = float(self.trainer.lr_schedule.get_last_lr()[0])  # of the next step
            self.noted = {"loss": loss, "images_per_second": images_per_second, "learning_rate": rate}

    def due(self) -> bool:
        return bool(self.noted)

    def save(self, trainer: Trainer) -> None:
        """Write what was noted of the last step."""
        self.accelerator.log({f"step/{name}": value for name, value in self.noted.items()}, trainer.log.steps_done)
        self.noted = {}

    def end_epoch(self, images: Tensor) -> None:
        """Write what an epoch has come to, with samples: uint8 (N, 3, H, W)."""
        log = self.trainer.log
        strip = images.permute(2, 0, 3, 1).flatten(1, 2).cpu().numpy()  # (H, N * W, 3)
        for tracker in self.accelerator.trackers:
            tracker.log_images(strip, log.steps_done)
        seconds = log.seconds_per_epoch[-1]
        figures = {
            "epoch/loss": log.loss_per_epoch[-1],
            "epoch/seconds": seconds,
            "epoch/images_per_second": log.images_per_epoch / seconds,
        }
        losses = {f"validation/{weights}": fmean(found) for weights, found in log.validation[-1].items()}
        self.accelerator.log(figures | losses, log.steps_done)  # last: this writes the pictures down, too


def first_untold(trainer: Trainer) -> int:
    """The step from which on all is told by this process, and what an earlier one told is to be forgotten."""
    log = trainer.log
    epoch_is_told_again = log.epoch_steps * trainer.config.sizes.batch_size == log.images_per_epoch
    return log.steps_done if epoch_is_told_again else log.steps_done + 1


def tracker(name: str, run: str, logs: Path, first: int) -> GeneralTracker:
    """One of accelerate's trackers; where it keeps files, they go on from those of the same run."""
    kind = LOGGER_TYPE_TO_CLASS[name]
    if kind.requires_logging_directory:
        options = {"purge_step": first} if name == "tensorboard" else {}  # readers then drop what is repeated
        return kind(run, logs, **options)
    return kind(PROJECT, **({RUN_IS_CALLED[name]: run} if name in RUN_IS_CALLED else {}))
