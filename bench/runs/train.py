"""Training of one run, from its newest checkpoint to its last budget; each budget leaves a finished model.

The learning rate is constant until the last part of a budget, and falls to zero there. What comes after the first part
is a branch: the finished model is kept, and training goes back to where the rate began to fall, for a larger budget.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from bench import contestants, distributed
from bench.config import RunConfig
from bench.data.dataset import AvatarSet
from bench.data.splits import Split
from bench.display import Display
from bench.environment import changed_between, start
from bench.render.images import gallery
from bench.runs.evaluation import evaluate_epoch, losses_of
from bench.runs.job import Job
from bench.runs.neighbours import Neighbours
from bench.sampling.samples import STRIP
from bench.stopping import Stopped, Stopping
from bench.storage import cache
from bench.storage.checkpoint import load_newest, remove_damaged
from bench.storage.folder import ResultsFolder, RunFolder
from bench.storage.weights import keep_weights
from bench.training.budgets import decay_start, main_end
from bench.training.saving import Each, Saver
from bench.training.state import restore
from bench.training.tracking import Tracking
from bench.training.trainer import Trainer, TrainingLog
from bench.training.validation import validation_timesteps


class Run:
    """What training one run needs: the trainer, what it learns from, where it saves, and whom it tells."""

    def __init__(self, job: Job, parts: Split, stopping: Stopping, neighbours: Neighbours, show: Display) -> None:
        self.job, self.parts, self.neighbours, self.show = job, parts, neighbours, show
        self.trainer = resumed_trainer(job, parts.train)
        self.saver = Saver(job.folder.checkpoints, job.folder.job, stopping, job.checkpoint_seconds)
        self.trunk = Saver(job.folder.trunk, job.folder.job, stopping, job.checkpoint_seconds)
        self.tracking = Tracking(self.trainer, job.report_to, ResultsFolder(Path(job.out)).logs, show.say)

    @property
    def log(self) -> TrainingLog:
        return self.trainer.log

    @property
    def stopping(self) -> Stopping:
        return self.saver.stopping


def trained(job: Job, parts: Split, stopping: Stopping, neighbours: Neighbours, show: Display) -> Trainer:
    """A trainer that has finished a model for every budget, each kept in the run's folder."""
    run = Run(job, parts, stopping, neighbours, show)
    neighbours.count_in(run.log)
    if distributed.rank() == 0:
        write_asked(job.folder.test, parts.test)
    train(run)
    return run.trainer


def train(run: Run) -> None:
    """Train to the last budget, from wherever the trainer stands."""
    ends, plan = run.trainer.ends, run.job.run.recipe.optimisation
    while len(run.log.points) < len(ends):
        end = ends[len(run.log.points)]
        if run.log.falling is None:
            train_until(run, decay_start(plan, end), branch=False)
            begin_branch(run, end, last=end == ends[-1])
        train_until(run, end, branch=end != ends[-1])
        finish(run, end, last=end == ends[-1])


def begin_branch(run: Run, end: int, last: bool) -> None:
    """Let the learning rate fall from here to `end`; what stands is kept, to come back to, unless this is the last."""
    with run.stopping.waiting():
        if not last:
            try:
                run.trunk.save(run.trainer)
            except Stopped:
                run.saver.save(run.trainer)
                raise
        run.log.falling = [run.log.steps_done, end]


def finish(run: Run, end: int, last: bool) -> None:
    """Keep the finished model of a budget and what its training took, then go back to the trunk."""
    with run.stopping.waiting():
        run.show.phase(f"validation after {end} steps", 1)
        losses = losses_of(run.trainer, run.job, run.parts)
        log, config = run.log, run.job.run
        point = {"steps": end, "images": end * config.sizes.batch_size, "seconds": log.seconds, "validation": losses}
        with run.trainer.averaged() as denoiser:
            if distributed.rank() == 0:
                keep_weights(run.job.folder.weights(end), denoiser)
        points = [*log.points, point]
        if not last:
            back_to_trunk(run.trainer, run.job.folder)
            run.neighbours.count_in(run.log)
        run.log.points, run.log.falling = points, None
        run.saver.save(run.trainer)


def back_to_trunk(trainer: Trainer, folder: RunFolder) -> None:
    """Take up training where the learning rate began to fall; the books on checkpoints and starts go on."""
    trunk, log = load_newest(folder.trunk), trainer.log
    assert trunk is not None, "a branch begins by saving its trunk"
    restore(trainer, trunk)
    refuse_other_place(trainer)
    for name in ("starts", "resumed_at_epochs", "checkpoints", "checkpoint_seconds"):
        setattr(trainer.log, name, getattr(log, name))
    trainer.log.watched_seconds = trainer.log.busy_seconds = 0.0  # those of the branch's log are counted in


def train_until(run: Run, end: int, branch: bool) -> None:
    """Train to a step, with samples and validation losses after each epoch unless it is a branch to come back from."""
    trainer, log = run.trainer, run.log
    while log.steps_done < end or trainer.epoch_is_over():
        try:
            with run.stopping.waiting():
                train_epoch(run, end, told=not branch)
            if not trainer.epoch_is_over():
                return
            images, losses = (None, {}) if branch else evaluate_epoch(trainer, run.job, run.parts, run.show)
        except Stopped:  # asked to stop: what has been trained is not to be done again
            run.saver.save(trainer)
            raise
        with run.stopping.waiting():
            end_epoch(run, images, losses)
            if run.saver.due():
                run.saver.save(trainer)


def end_epoch(run: Run, images: Tensor | None, losses: dict[str, list[float]]) -> None:
    """Close the books on an epoch, with a strip of its samples where there are some."""
    strip = run.job.folder.image(f"epoch-{run.log.epochs_done + 1:02d}")
    if images is not None and distributed.rank() == 0:
        gallery.write_strip(Path(run.job.out) / strip, images[:STRIP])
    run.trainer.end_epoch(losses)
    if images is not None:
        run.tracking.end_epoch(images[:STRIP])


def train_epoch(run: Run, until: int, told: bool) -> None:
    """What is left of an epoch, or of it until a step, with its loss and speed shown as it goes and said at its end."""
    log, show = run.log, run.show
    size, before = run.job.run.sizes.batch_size, log.epoch_steps
    whole = log.images_per_epoch // size
    name = f"epoch {log.epochs_done + 1}/{-(-run.trainer.ends[-1] // whole)}"
    if run.log.falling is not None:
        name += f", rate falling to 0 at step {until}"
    show.phase(name, min(whole - before, until - log.steps_done))
    seconds = log.epoch_seconds

    def on_step(step: int, loss: Tensor) -> None:
        reading = None
        if step % 10 == 1:  # reading the loss waits for the device
            value, speed = loss.item(), (step - before) * size / show.seconds()
            reading = f"loss {value:.4f} {speed:.1f} images/s"
            if told:
                run.tracking.note(value, speed)
        show.advance(info=reading)

    run.trainer.run_epoch(on_step, Each(run.tracking, run.saver), until)  # in this order: saving may stop the process
    if steps := log.epoch_steps - before:
        seconds = log.epoch_seconds - seconds
        speed = steps * size / seconds
        show.say(f"{name}: loss {run.trainer.mean_loss():.4f}, {seconds:.1f} s, {speed:.1f} images/s")


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
    refuse_other_place(trainer)
    trainer.log.starts.append(start(run.device, job.commit, trainer.log.steps_done))
    return trainer


def refuse_other_place(trainer: Trainer) -> None:
    """RunFailed if another process has restored another checkpoint."""
    distributed.refuse_unless_same((trainer.log.steps_done, trainer.log.epoch_steps), trainer.accelerator.device)


def training_log(log: TrainingLog, config: RunConfig, images: int) -> dict[str, Any]:
    """What the record says of training: the log of it when it is over, and what that has cost and may have changed."""
    unfinished = ("epoch_steps", "epoch_seconds", "epoch_losses", "watched_seconds", "busy_seconds", "falling")
    return {name: value for name, value in asdict(log).items() if name not in unfinished} | {
        "checkpoint_share": log.checkpoint_seconds / (log.seconds + log.checkpoint_seconds),
        "not_bit_identical": changed_between(log.starts),
        "warm_up_epochs": 1,
        "validation_timesteps": validation_timesteps(config.recipe.timesteps),
        "main_steps": main_end(config, images),
    }


def write_asked(path: Path, test: AvatarSet) -> None:
    """Keep the test conditions beside the checkpoints: `bench sample` begins from real ones."""
    schema = json.dumps(test.schema.to_json())
    cache.write(path, {"codes": test.codes}, {"schema": schema})
