"""One contestant with one seed, in a process of its own: train, sample, score, record."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from bench import contestants, distributed
from bench.config import RunConfig
from bench.cost.costs import costs, step_costs
from bench.cost.out_of_memory import explain, is_out_of_memory
from bench.data.dataset import AvatarSet, Split, asked_of, split
from bench.data.library import read_cache
from bench.display import Display, display
from bench.environment import changed_between, environment, load_average, start, training_code
from bench.errors import CannotWrite, RunFailed, show_traceback, words_of
from bench.quality.condition import ignores_condition
from bench.record import Data, Environment, Images, Measurements, Record
from bench.render.images import gallery
from bench.runs.evaluation import classifier_of, draw_all, look, score
from bench.runs.job import EXIT_FAILURE_RECORDED, Job, note_failure
from bench.runs.neighbours import Neighbours
from bench.runs.pictures import STRIP, draw_pictures, show_samples
from bench.sampling import samples
from bench.stopping import Stopped, Stopping, stop_with_parent
from bench.storage import cache, durable
from bench.storage.checkpoint import load_newest, remove_damaged
from bench.storage.folder import ResultsFolder
from bench.storage.records import what_is_wrong
from bench.training.saving import Each, Saver
from bench.training.state import restore
from bench.training.tracking import Tracking
from bench.training.trainer import Trainer, TrainingLog
from bench.training.validation import validation_timesteps

BUSY_SHARE = 0.05  # of a run's time, beside busy neighbours: from here on it is said


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


def work(job: Job, stopping: Stopping, neighbours: Neighbours, load: float | None) -> Record | None:
    """The whole of a run, taken up from its newest checkpoint; None in all but the first of several processes.

    `load` is what others took of the cores as it began.
    """
    avatars = read_cache(Path(job.avatars))
    if avatars is None:
        raise RunFailed("the data cache is gone: run again")
    parts = split(avatars)
    with display(job.run.contestant) as show:
        show.phase("accounting for its costs", 1)
        cost = costs(job.run, avatars.schema.width)  # first: what cannot be accounted must not fail after training
        if job.run.processes == 1 and not job.run.sizes.max_steps:  # several would have to agree on when to end
            show.phase("timing its steps", 1)
            cost |= step_costs(job.run, parts.train, cost)
        trainer = resumed_trainer(job, parts.train)
        neighbours.count_in(trainer.log)
        if distributed.rank() == 0:
            write_asked(job.folder.held_out, parts.held_out)
        saver = Saver(job.folder.checkpoints, job.folder.job, stopping, job.checkpoint_seconds)
        strips = train(
            trainer,
            job,
            parts,
            show,
            saver,
            Tracking(trainer, job.report_to, ResultsFolder(Path(job.out)).logs, show.say),
        )
        asked = asked_of(parts, job.run.sizes.samples)
        drawn = draw_all(trainer, job, asked, show)
        if not distributed.is_alone_now(trainer.accelerator):
            return None
        log = training_log(trainer.log, job.run) | {"busy_share": neighbours.busy_share()}
        flop = (cost["cost"]["flops_per_image"] or {}).get("training")
        quality = score(job, drawn, parts, log, flop, show)
        spent: dict[str, Any] = {"training": log, "sampling": sampling_log(drawn[samples.MAIN])}
        images = show_samples(job.folder, job.run, drawn[samples.MAIN].images, asked)
        with trainer.averaged() as denoiser:
            device, layout = trainer.accelerator.device, trainer.memory_format
            ignores = ignores_condition(denoiser, trainer.noise_schedule, parts.held_out, device, layout)
            found = declared(cost | measured_before(job) | spent | quality | {"ignores_condition": ignores})
            if job.pictures:
                images |= draw_pictures(
                    job.folder, job.run, denoiser, asked, drawn, classifier_of(job, parts), found, show
                )
        show.end_phase()
        show.say(show.summary())
        say_if_busy(neighbours, show)
    return Record(
        config=job.run,
        environment=Environment(
            **environment(job.run.device, job.commit, load), training_code=training_code(job.run.contestant)
        ),
        command=job.command,
        status="done",
        data=Data(**describe(avatars, parts)),
        measurements=found,
        images=Images(**{"epochs": strips} | images),
    )


def say_if_busy(neighbours: Neighbours, show: Display) -> None:
    share = neighbours.busy_share()
    if share > BUSY_SHARE:
        show.say(f"other processes wanted the cores in {share:.0%} of that time: its times are too long")


def measured_before(job: Job) -> dict[str, Any]:
    """What was measured once for all runs, before any of them."""
    return {"probe_seconds_per_step": job.probe, "machine_peak": job.machine_peak or None}


def declared(found: dict[str, Any]) -> Measurements:
    """What was measured, as a record declares it; RunFailed names what a record does not take: NaN, say."""
    try:
        return Measurements(**found)
    except ValidationError as error:
        raise RunFailed(f"its measurements have {what_is_wrong(error)}") from error


def sampling_log(main: samples.Drawn) -> dict[str, Any]:
    """What the record says of drawing the scored samples."""
    return {"seconds": main.seconds, "images": len(main.images), "repeated": distributed.repeated(main.images)}


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


def describe(avatars: AvatarSet, parts: Split) -> dict[str, Any]:
    return {
        "images": len(avatars),
        "held_out": len(parts.held_out),
        "leaked": parts.leaked,
        "skipped": avatars.skipped,
        "schema": avatars.schema.to_json(),
    }


def main(told: Path) -> int:
    """Run the job that a JSON file tells of; its record is the result. EXIT_FAILURE_RECORDED if it failed."""
    stopping = Stopping()
    stop_with_parent()
    load = load_average()
    job = Job(**json.loads(told.read_text()))
    try:
        with Neighbours() as neighbours:
            record = work(job, stopping, neighbours, load)
        if record is not None:
            keep(job, record)
        return 0
    except (KeyboardInterrupt, Stopped):
        raise
    except BaseException as error:  # a plug-in may raise anything
        if distributed.lost_peer(error):
            return distributed.PEER_LOST
        show_traceback(error)
        why, measured = words_of(error), dict[str, Any]()
        failed = error.with_traceback(None)  # which would keep the model and all it held
    if is_out_of_memory(failed):
        why, measured = explain(job.run, Path(job.avatars))
    note_failure(job, why, measured)
    return EXIT_FAILURE_RECORDED


def keep(job: Job, record: Record) -> None:
    """Write a record to where it belongs; where the disk refuses it, print it, so that nothing measured is lost."""
    try:
        durable.write_text(job.folder.record, record.to_json())
        durable.write_text(job.folder.finished, record.to_json())
    except CannotWrite:
        print(f"the record of {job.run.name}:\n{record.to_json()}", file=sys.stderr)
        raise
