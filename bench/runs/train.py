"""Training of one run, from its newest checkpoint to its last epoch, with samples and validation after each."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from bench import contestants, distributed
from bench.config import RunConfig
from bench.data.dataset import AvatarSet, Split
from bench.display import Display
from bench.environment import changed_between, start
from bench.render.images import gallery
from bench.runs.evaluation import look
from bench.runs.job import Job
from bench.runs.neighbours import Neighbours
from bench.runs.pictures import STRIP
from bench.stopping import Stopped, Stopping
from bench.storage import cache
from bench.storage.checkpoint import load_newest, remove_damaged
from bench.storage.folder import ResultsFolder
from bench.training.saving import Each, Saver
from bench.training.state import restore
from bench.training.tracking import Tracking
from bench.training.trainer import Trainer, TrainingLog
from bench.training.validation import validation_timesteps


def trained(
    job: Job, parts: Split, stopping: Stopping, neighbours: Neighbours, show: Display
) -> tuple[Trainer, list[str]]:
    """A trainer that has done all epochs, and the paths of the strips of samples after each."""
    trainer = resumed_trainer(job, parts.train)
    neighbours.count_in(trainer.log)
    if distributed.rank() == 0:
        write_asked(job.folder.held_out, parts.held_out)
    saver = Saver(job.folder.checkpoints, job.folder.job, stopping, job.checkpoint_seconds)
    tracking = Tracking(trainer, job.report_to, ResultsFolder(Path(job.out)).logs, show.say)
    return trainer, train(trainer, job, parts, show, saver, tracking)


def train(trainer: Trainer, job: Job, parts: Split, show: Display, saver: Saver, tracking: Tracking) -> list[str]:
    """Train to the last epoch, with samples and validation losses after each; the strips' paths."""
    epochs, stopping = job.run.sizes.epochs, saver.stopping
    strips = [job.folder.image(f"epoch-{number:02d}") for number in range(1, epochs + 1)]
    while trainer.log.epochs_done < epochs:
        try:
            with stopping.waiting():
                train_epoch(trainer, job.run, show, saver, tracking)
            images, losses = look(trainer, job, parts, show)
        except Stopped:  # asked to stop: what has been trained is not to be done again
            saver.save(trainer)
            raise
        with stopping.waiting():
            if distributed.rank() == 0:
                gallery.write_strip(Path(job.out) / strips[trainer.log.epochs_done], images[:STRIP])
            trainer.end_epoch(losses)
            tracking.end_epoch(images[:STRIP])
            if saver.due() or trainer.log.epochs_done == epochs:
                saver.save(trainer)
    return strips


def train_epoch(trainer: Trainer, config: RunConfig, show: Display, saver: Saver, tracking: Tracking) -> None:
    """What is left of an epoch, with its loss and speed shown as it goes and said when it is over."""
    log, size, before = trainer.log, config.sizes.batch_size, trainer.log.epoch_steps
    name = f"epoch {log.epochs_done + 1}/{config.sizes.epochs}"
    show.phase(name, log.images_per_epoch // size - before)

    def on_step(step: int, loss: Tensor) -> None:
        reading = None
        if step % 10 == 1:  # reading the loss waits for the device
            value, speed = loss.item(), (step - before) * size / show.seconds()
            reading = f"loss {value:.4f} {speed:.1f} images/s"
            tracking.note(value, speed)
        show.advance(info=reading)

    trainer.run_epoch(on_step, Each(tracking, saver))  # in this order: saving may stop the process
    speed = log.images_per_epoch / log.epoch_seconds
    show.say(f"{name}: loss {trainer.mean_loss():.4f}, {log.epoch_seconds:.1f} s, {speed:.1f} images/s")


def resumed_trainer(job: Job, train: AvatarSet) -> Trainer:
    """A trainer at the newest checkpoint, or at the beginning where there is none."""
    run, sizes = job.run, job.run.sizes
    denoiser = contestants.build(run.contestant, train.schema.width, sizes.image_size, sizes.scale, run.seed)
    trainer = Trainer(denoiser, run, train)
    checkpoint = load_newest(job.folder.checkpoints)
    trainer.accelerator.wait_for_everyone()  # all have read the same before the first one changes anything
    if checkpoint is not None:
        restore(trainer, checkpoint)
        if distributed.rank() == 0:
            remove_damaged(job.folder.checkpoints)
    trainer.log.starts.append(start(run.device, job.commit, trainer.log.steps_done))
    return trainer


def training_log(log: TrainingLog, config: RunConfig) -> dict[str, Any]:
    """What the record says of training: the log of it when it is over, and what that has cost and may have changed."""
    unfinished = ("epoch_steps", "epoch_seconds", "epoch_losses", "watched_seconds", "busy_seconds")
    spent = sum(log.seconds_per_epoch) + log.checkpoint_seconds
    return {name: value for name, value in asdict(log).items() if name not in unfinished} | {
        "checkpoint_share": log.checkpoint_seconds / spent,
        "not_bit_identical": changed_between(log.starts),
        "warm_up_epochs": 1,
        "validation_timesteps": validation_timesteps(config.recipe.timesteps),
    }


def write_asked(path: Path, held_out: AvatarSet) -> None:
    """Keep the held-out conditions beside the checkpoints: `bench sample` begins from real ones."""
    schema = json.dumps(held_out.schema.to_json())
    cache.write(path, {"codes": held_out.codes}, {"schema": schema})
