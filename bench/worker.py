"""One contestant with one seed, in a process of its own: train, sample, score, record."""

import json
import signal
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from bench import cache, contestants, durable, samples
from bench.checkpoint import load_newest, save_checkpoint
from bench.config import RunConfig
from bench.cost.costs import costs, step_costs
from bench.data.dataset import AvatarSet, Split, split
from bench.data.library import read_cache
from bench.display import Display, display
from bench.environment import environment
from bench.errors import BadInput, RunFailed
from bench.evaluation import STRIP, asked_of, draw_all, look, score, show_samples
from bench.job import Job, failed_record, failure
from bench.quality.validation import validation_timesteps
from bench.record import Record, record_path, write_unless_measured
from bench.render import gallery
from bench.train import Trainer

ASKED = "held_out.safetensors"


def train(trainer: Trainer, job: Job, parts: Split, show: Display) -> list[str]:
    """Train to the last epoch, with samples, validation losses and a checkpoint after each; the strips' paths."""
    epochs = job.run.sizes.epochs
    strips = [job.image(f"epoch-{number:02d}") for number in range(1, epochs + 1)]
    while trainer.log.epochs_done < epochs:
        train_epoch(trainer, job.run, show)
        # Maintenance, outside the epoch's seconds; the checkpoint comes last, so that nothing is ever skipped.
        images = look(trainer, job, parts, show)
        gallery.write_strip(Path(job.out) / strips[trainer.log.epochs_done - 1], images[:STRIP])
        save_checkpoint(job.folder / "checkpoints", trainer.log.steps_done, trainer.to_checkpoint())
    return strips


def train_epoch(trainer: Trainer, config: RunConfig, show: Display) -> None:
    """One epoch, with its loss and speed shown as it goes and said when it is over."""
    log, size = trainer.log, config.sizes.batch_size
    name = f"epoch {log.epochs_done + 1}/{config.sizes.epochs}"
    show.phase(name, log.images_per_epoch // size)

    def on_step(index: int, loss: Tensor) -> None:
        reading = None
        if index % 10 == 0:  # reading the loss waits for the device
            reading = f"loss {loss.item():.4f} {(index + 1) * size / show.seconds():.1f} images/s"
        show.advance(info=reading)

    trainer.run_epoch(on_step)
    seconds = log.seconds_per_epoch[-1]
    speed = log.images_per_epoch / seconds
    show.say(f"{name}: loss {log.loss_per_epoch[-1]:.4f}, {seconds:.1f} s, {speed:.1f} images/s")


def work(job: Job) -> Record:
    """The whole of a run, taken up from its newest checkpoint."""
    avatars = read_cache(Path(job.avatars))
    if avatars is None:
        raise RunFailed("the data cache is gone: run again")
    parts = split(avatars)
    cost = costs(job.run, avatars.schema.width)  # first: what cannot be accounted must not fail after training
    write_asked(job.folder, parts.held_out)
    with display(job.run.contestant) as show:
        show.phase("timing its steps", 1)
        cost |= step_costs(job.run, parts.train, cost)
        trainer = resumed_trainer(job, parts.train)
        strips = train(trainer, job, parts, show)
        asked = asked_of(parts, job.run.sizes.samples)
        drawn = draw_all(trainer, job, asked, show)
        log = asdict(trainer.log)
        flop = (cost["cost"]["flops_per_image"] or {}).get("training")
        quality = score(job, drawn, parts, log, flop, show)
    return Record(
        config=job.config,
        environment=environment(job.run.device, job.commit),
        command=job.command,
        status="done",
        data=describe(avatars, parts),
        measurements={
            **cost,
            "probe_seconds_per_step": job.probe,
            "machine_peak": job.machine_peak,
            "training": log
            | {"warm_up_epochs": 1, "validation_timesteps": validation_timesteps(job.run.recipe.timesteps)},
            "sampling": {"seconds": drawn[samples.MAIN].seconds, "images": len(asked)},
            **quality,
        },
        images={"epochs": strips, **show_samples(job, drawn[samples.MAIN].images, asked)},
    )


def write_asked(folder: Path, held_out: AvatarSet) -> None:
    """Keep the held-out conditions beside the checkpoints: `bench sample` begins from real ones."""
    schema = json.dumps(held_out.schema.to_json())
    cache.write(folder / ASKED, {"codes": held_out.codes}, {"schema": schema})


def resumed_trainer(job: Job, train: AvatarSet) -> Trainer:
    """A trainer at the newest checkpoint, or at the beginning where there is none."""
    run, sizes = job.run, job.run.sizes
    denoiser = contestants.build(run.contestant, train.schema.width, sizes.image_size, sizes.scale, run.seed)
    trainer = Trainer(denoiser, run, train)
    checkpoint = load_newest(job.folder / "checkpoints")
    if checkpoint is not None:
        trainer.restore(checkpoint)
    trainer.log.commits.append(job.commit)
    return trainer


def describe(avatars: AvatarSet, parts: Split) -> dict[str, Any]:
    return {
        "images": len(avatars),
        "held_out": len(parts.held_out),
        "leaked": parts.leaked,
        "skipped": avatars.skipped,
        "schema": avatars.schema.to_json(),
    }


def main() -> int:
    """Run the job given as a JSON file; its record is the result. Exit 1 if the run failed, 2 on bad input."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    job = Job(**json.loads(Path(sys.argv[1]).read_text()))
    path = record_path(Path(job.out), job.run)
    try:
        record = work(job)
    except KeyboardInterrupt:
        return 130
    except BadInput as error:
        print(f"bench run: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        if not isinstance(error, RunFailed):
            traceback.print_exc()
        print(f"{job.run.name} failed: {failure(error)}", file=sys.stderr)
        record = failed_record(job, failure(error))
        write_unless_measured(path, record)
        return 1
    durable.write_text(path, record.to_json())
    durable.write_text(job.folder / "finished.json", record.to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
