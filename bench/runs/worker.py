"""One contestant with one seed, in a process of its own: train, sample, score, record."""

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench import distributed
from bench.cost.costs import costs, step_costs
from bench.cost.out_of_memory import explain, is_out_of_memory
from bench.data.dataset import AvatarSet
from bench.data.library import read_cache
from bench.data.splits import Split, asked_of, split
from bench.display import Display, display
from bench.environment import environment, load_average, scoring_code
from bench.errors import CannotWrite, RunFailed, show_traceback, words_of
from bench.quality.condition import ignores_condition
from bench.record import Data, Environment, Images, Measurements, Record
from bench.render.table.measures import PRIMARY
from bench.render.table.training_warnings import BUSY_SHARE
from bench.runs.evaluation import classifier_of, draw_all, score
from bench.runs.job import EXIT_FAILURE_RECORDED, Job, note_failure
from bench.runs.neighbours import Neighbours
from bench.runs.pictures import draw_pictures, show_samples
from bench.runs.train import trained, training_log
from bench.sampling import samples
from bench.stopping import Stopped, Stopping, stop_with_parent
from bench.storage import durable
from bench.storage.records import what_is_wrong
from bench.storage.weights import commit_weights
from bench.training.trainer import Trainer


def work(job: Job, stopping: Stopping, neighbours: Neighbours, load: float | None) -> Record | None:
    """The whole of a run, taken up from its newest checkpoint; None in all but the first of several processes.

    `load` is what others took of the cores as it began.
    """
    avatars = read_cache(Path(job.avatars))
    if avatars is None:
        raise RunFailed("the data cache is gone: run again")
    parts = split(avatars.seen_by(job.run.recipe))
    with display(job.run.contestant) as show:
        cost = measured_cost(job, parts, show)  # first: what cannot be accounted must not fail after training
        trainer = trained(job, parts, stopping, neighbours, show)
        drawn = draw_all(trainer, job, asked_of(parts, job.run.sizes.samples), show)
        if not distributed.is_alone_now(trainer.accelerator):
            return None
        log = training_log(trainer.log, job.run, len(parts.train)) | told_beside(job, neighbours)
        found, images = scored(job, parts, trainer, drawn, cost, log, show)
        show.end_phase()
        show.say(show.summary())
        say_if_busy(neighbours, show)
    here = environment(job.run.device, job.commit, load)
    if (machines := distributed.machines()) > 1:
        here["device"] = f"{machines} × {here['device']}"
    return Record(
        config=job.run,
        environment=Environment(**here, training_code=job.training_code, scoring_code=scoring_code()),
        command=job.command,
        status="done",
        data=Data(**describe(avatars, parts)),
        measurements=found,
        images=Images(**{"epochs": strips_of(job, trainer.log.epochs_done)} | images),
    )


def measured_cost(job: Job, parts: Split, show: Display) -> dict[str, Any]:
    """What the contestant costs, accounted, and what a step of it takes here."""
    show.phase("accounting for its costs", 1)
    cost = costs(job.run, parts.train.schema.width)
    if job.run.processes > 1 or job.run.sizes.max_steps:  # several would have to agree on when to end
        return cost
    show.phase("timing its steps", 1)
    return cost | step_costs(job.run, parts.train, cost)


def scored(
    job: Job,
    parts: Split,
    trainer: Trainer,
    drawn: dict[str, samples.Drawn],
    cost: dict[str, Any],
    log: dict[str, Any],  # of training
    show: Display,
) -> tuple[Measurements, dict[str, Any]]:
    """All that was measured of a run, and its pictures."""
    asked, main = asked_of(parts, job.run.sizes.samples), drawn[samples.MAIN]
    quality = score(job, drawn, parts, log, (cost["cost"]["flops_per_image"] or {}).get("training"), show)
    images = show_samples(job.folder, job.run, main.images, asked)
    denoiser, device, layout = trainer.raw(), trainer.accelerator.device, trainer.memory_format  # the main model
    ignores = ignores_condition(denoiser, trainer.noise_schedule, parts.validation, device, layout)
    spent = {"training": log, "sampling": sampling_log(main), "ignores_condition": ignores, "primary": PRIMARY}
    found = declared(cost | measured_before(job) | spent | quality)
    if job.pictures:
        classifier = classifier_of(job, parts)
        images |= draw_pictures(job.folder, job.run, denoiser, asked, drawn, classifier, found, show)
        schema = json.dumps(parts.test.schema.to_json())
        commit_weights(job.folder.committed_weights, denoiser, parts.test.codes, schema)
    return found, images


def told_beside(job: Job, neighbours: Neighbours) -> dict[str, Any]:
    """What the record says of training that the trainer does not know: who ran beside it, and whose it was."""
    taken = job.folder.taken_from
    return {"busy_share": neighbours.busy_share(), "taken_from": taken.read_text() if taken.exists() else None}


def strips_of(job: Job, epochs: int) -> list[str]:
    """The strips of samples that were drawn after each epoch."""
    paths = [job.folder.image(f"epoch-{number:02d}") for number in range(1, epochs + 1)]
    return [path for path in paths if (Path(job.out) / path).exists()]


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


def describe(avatars: AvatarSet, parts: Split) -> dict[str, Any]:
    return {
        "images": len(avatars),
        "held_out": len(parts.validation) + len(parts.test),
        "validation": len(parts.validation),
        "test": len(parts.test),
        "leaked": parts.leaked,
        "skipped": avatars.skipped,
        "schema": avatars.schema.to_json(),
    }


def main(told: Path) -> int:
    """Run the job that a JSON file tells of; its record is the result. EXIT_FAILURE_RECORDED if it failed."""
    stopping = Stopping()
    stop_with_parent()
    load = load_average()
    job = Job.from_json(told.read_text())
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
    """Write a record to where it belongs; where the disk refuses it, print it, so that nothing measured is lost.

    A run that keeps no weights leaves none of an earlier run of its name beside its record.
    """
    try:
        durable.write_text(job.folder.record, record.to_json())
        durable.write_text(job.folder.finished, record.to_json())
        if record.status == "done" and not job.pictures:
            job.folder.committed_weights.unlink(missing_ok=True)
    except CannotWrite:
        print(f"the record of {job.run.name}:\n{record.to_json()}", file=sys.stderr)
        raise
