"""One contestant with one seed, in a process of its own: train, sample, score, record."""

import json
import signal
import sys
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
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
from bench.quality.curve import curve
from bench.quality.features import extractor_named
from bench.quality.judge import load_judge
from bench.quality.score import Extraction, Scorer
from bench.quality.validation import validation_losses, validation_timesteps
from bench.record import Record, record_path, write_unless_measured
from bench.render import gallery
from bench.sampling import draw
from bench.train import Trainer

STRIP = 16  # samples shown after every epoch, always of the same conditions
ASKED = "held_out.safetensors"
SHOWN = 32  # of the scored samples, above the real images of the same conditions


@dataclass(frozen=True)
class Job:
    """What a worker is told, as JSON on its command line."""

    config: dict[str, Any]
    command: str
    commit: str | None
    out: str
    cache: str
    avatars: str
    judge: str
    extractors: dict[str, str | None]  # names, with the path of their weights where the user has a file of them
    probe: dict[str, float]  # seconds per step by precision and layout
    machine_peak: dict[str, Any]  # measured once, so that all are held against the same

    @property
    def run(self) -> RunConfig:
        return RunConfig.from_dict(self.config)

    @property
    def folder(self) -> Path:
        """Where the state to resume from lies."""
        return Path(self.out) / ".work" / self.run.name

    @property
    def samples(self) -> Path:
        """Where the samples wait that are to be scored."""
        return self.folder / "samples"

    def image(self, name: str) -> str:
        """A picture's path below the results folder."""
        return f"images/{self.run.name}/{name}.png"


def asked_of(parts: Split, count: int) -> AvatarSet:
    """The held-out avatars whose conditions are asked, again from the first where there are too few."""
    return parts.held_out.subset(torch.arange(count) % len(parts.held_out))


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


def look(trainer: Trainer, job: Job, parts: Split, show: Display) -> Tensor:
    """After an epoch: the validation losses go to the log, and the samples of its point of the curve are kept."""
    device, epoch = trainer.accelerator.device, trainer.log.epochs_done
    asked = asked_of(parts, max(STRIP, job.run.sizes.curve_samples))
    show.phase(f"samples after epoch {epoch}", len(asked))
    losses = {
        "raw": validation_losses(trainer.raw(), trainer.noise_schedule, parts.held_out, device, trainer.memory_format)
    }
    with trainer.averaged() as denoiser:
        if trainer.ema is not None:
            losses["averaged"] = validation_losses(
                denoiser, trainer.noise_schedule, parts.held_out, device, trainer.memory_format
            )
        images = draw(denoiser, job.run, asked.conditions, device, advance=show.advance)
    samples.keep_epoch(job.samples, epoch, images)
    trainer.log.validation.append(losses)
    return images


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


def generate(trainer: Trainer, job: Job, asked: AvatarSet, show: Display) -> dict[str, samples.Drawn]:
    """Every series of samples that is to be scored, by name."""
    drawn, device = {}, trainer.accelerator.device
    with trainer.averaged() as denoiser:
        for series in samples.series_of(job.run):
            show.phase(f"sampling, {series.name}", series.count)
            drawn[series.name] = samples.kept_samples(
                job.samples, series, denoiser, job.run, asked.conditions, device, show.advance
            )
    return drawn


def score(
    job: Job, drawn: dict[str, samples.Drawn], asked: AvatarSet, parts: Split, show: Display
) -> tuple[dict[str, Any], list[dict[str, Any] | None]]:
    """What the samples of the trained denoiser are worth, and, in brief, those after every epoch."""
    run, folder = job.run, Path(job.cache)
    judge = load_judge(Path(job.judge), parts.train.schema, torch.device(run.device))
    if judge is None:
        raise RunFailed("the judge's cache is gone: run again")
    paths = {extractor_named(name): path for name, path in job.extractors.items()}
    weights = {name: None if path is None else Path(path) for name, path in paths.items()}
    show.phase("features of real images", len(weights) * (len(parts.train) + len(parts.held_out)))
    scorer = Scorer(judge, parts, asked, Extraction(weights, run.device, folder, show.advance))
    epochs = [samples.epoch_samples(job.samples, epoch + 1) for epoch in range(run.sizes.epochs)]
    main, full = drawn[samples.MAIN].images, drawn.get(samples.FULL)
    everything = [*(each.images for each in drawn.values()), *(images for images in epochs if images is not None)]
    show.phase("scoring", sum(map(len, everything)))
    found = {
        **scorer.score(main),
        "guidance": scorer.guidance(samples.by_guidance(run, drawn)),
        "sampler": None if full is None else scorer.samplers(main[: len(full.images)], full.images),
    }
    briefs = [None if images is None else scorer.brief(images) for images in epochs]
    show.say(f"scored in {show.seconds():.1f} s: attribute accuracy {found['attributes']['macro']['accuracy']:.3f}")
    return found, briefs


def show_samples(job: Job, generated: Tensor, asked: AvatarSet) -> dict[str, str]:
    """Pictures of the samples above the real images of the same conditions, and of the table's example."""
    shown = min(SHOWN, len(generated) // STRIP * STRIP) or len(generated)  # whole rows, so that each has its real one
    above = torch.cat([generated[:shown], asked.images[:shown]])
    gallery.write_strip(Path(job.out) / job.image("samples"), above, columns=min(STRIP, shown))
    gallery.write_example(Path(job.out) / job.image("example"), generated[0])
    return {"samples": job.image("samples"), "example": job.image("example")}


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
        drawn = generate(trainer, job, asked, show)
        generated, seconds = drawn[samples.MAIN].images, drawn[samples.MAIN].seconds
        quality, briefs = score(job, drawn, asked, parts, show)
    log = asdict(trainer.log) | {
        "warm_up_epochs": 1,
        "validation_timesteps": validation_timesteps(job.run.recipe.timesteps),
    }
    flop = (cost["cost"]["flops_per_image"] or {}).get("training")
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
            "training": log,
            "curve": curve(briefs, log, flop),
            "sampling": {"seconds": seconds, "images": len(generated)},
            **quality,
        },
        images={"epochs": strips, **show_samples(job, generated, asked)},
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


def failure(error: BaseException) -> str:
    """Why a run failed, in a few words for its row."""
    text = str(error).lower()
    if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text:
        return "out of memory"
    return str(error) if isinstance(error, RunFailed) else f"{type(error).__name__}: {error}".splitlines()[0]


def failed_record(job: Job, why: str) -> Record:
    return Record(job.config, environment(job.run.device, job.commit), job.command, status="failed", error=why)


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
