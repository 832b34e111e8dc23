"""One contestant with one seed, in a process of its own: train, sample, score, record."""

import json
import signal
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench import contestants, durable
from bench.checkpoint import load_newest, save_checkpoint
from bench.config import RunConfig
from bench.cost.anatomy import published_cost, static_cost
from bench.data.dataset import AvatarSet, Split, split
from bench.data.library import read_cache
from bench.display import Display, display
from bench.environment import environment
from bench.errors import BadInput, RunFailed
from bench.quality.attributes import load_judge, measure_attributes
from bench.quality.distance import measure_distance
from bench.quality.features import EFFICIENTNET, INCEPTION
from bench.record import Record, record_path
from bench.render import gallery
from bench.sampling import draw
from bench.train import Trainer

STRIP = 16  # samples shown after every epoch, always of the same conditions
SHOWN = 32  # of the scored samples, above the real images of the same conditions


@dataclass(frozen=True)
class Job:
    """What a worker is told, as JSON on its command line."""

    config: dict[str, Any]
    command: str
    out: str
    cache: str
    avatars: str
    judge: str
    inception_weights: str | None
    probe: dict[str, float]  # seconds per step by precision and layout

    @property
    def run(self) -> RunConfig:
        return RunConfig.from_dict(self.config)

    @property
    def folder(self) -> Path:
        """Where the state to resume from lies."""
        return Path(self.out) / ".work" / self.run.name

    def image(self, name: str) -> str:
        """A picture's path below the results folder."""
        return f"images/{self.run.name}/{name}.png"


def asked_of(parts: Split, count: int) -> AvatarSet:
    """The held-out avatars whose conditions are asked, again from the first where there are too few."""
    return parts.held_out.subset(torch.arange(count) % len(parts.held_out))


def train(trainer: Trainer, job: Job, parts: Split, show: Display) -> list[str]:
    """Train to the last epoch, with a checkpoint and a strip of samples after each; the strips' paths."""
    config = job.run
    strips = [job.image(f"epoch-{n:02d}") for n in range(1, config.sizes.epochs + 1)]
    condition = asked_of(parts, STRIP).conditions
    while trainer.log.epochs_done < config.sizes.epochs:
        number = trainer.log.epochs_done + 1
        total = trainer.log.images_per_epoch // config.sizes.batch_size
        show.phase(f"epoch {number}/{config.sizes.epochs}", total)

        def on_step(index: int, loss: Tensor) -> None:
            reading = ""
            if index % 10 == 0:  # reading the loss waits for the device
                speed = (index + 1) * config.sizes.batch_size / show.seconds()
                reading = f"loss {loss.item():.4f} {speed:.1f} images/s"
            show.advance(info=reading) if reading else show.advance(info=None)

        trainer.run_epoch(on_step)
        save_checkpoint(job.folder / "checkpoints", trainer.log.steps_done, trainer.to_checkpoint())
        with trainer.averaged() as denoiser:
            strip = draw(denoiser, config, condition, trainer.accelerator.device)
        gallery.write_strip(Path(job.out) / strips[number - 1], strip)
        seconds = trainer.log.seconds_per_epoch[-1]
        show.say(
            f"epoch {number}/{config.sizes.epochs}: loss {trainer.log.loss_per_epoch[-1]:.4f}, {seconds:.1f} s, "
            f"{trainer.log.images_per_epoch / seconds:.1f} images/s"
        )
    return strips


def score(job: Job, generated: Tensor, asked: AvatarSet, parts: Split) -> dict[str, Any]:
    """Distances and attribute accuracy of the generated uint8 images."""
    config, cache = job.run, Path(job.cache)
    real = parts.held_out.images[: len(asked)]
    extractors: dict[str, Path | None] = {EFFICIENTNET: None}
    if job.inception_weights is not None:
        extractors[INCEPTION] = Path(job.inception_weights)
    judge = load_judge(Path(job.judge), parts.train.schema, torch.device(config.device))
    return {
        "distance": {
            name: measure_distance(real, generated, name, weights, config.device, cache)
            for name, weights in extractors.items()
        },
        "attributes": measure_attributes(judge, generated, asked, parts),
    }


def work(job: Job) -> Record:
    """The whole of a run, taken up from its newest checkpoint."""
    config = job.run
    sizes = config.sizes
    avatars = read_cache(Path(job.avatars))
    if avatars is None:
        raise RunFailed("the data cache is gone: run again")
    parts = split(avatars)
    width = avatars.schema.width
    denoiser = contestants.build(config.contestant, width, sizes.image_size, sizes.scale, config.seed)
    trainer = Trainer(denoiser, config, parts.train)
    checkpoint = load_newest(job.folder / "checkpoints")
    if checkpoint is not None:
        trainer.restore(checkpoint)
    with display(config.contestant) as show:
        strips = train(trainer, job, parts, show)
        asked = asked_of(parts, sizes.samples)
        show.phase("sampling", sizes.samples)
        started = time.perf_counter()
        with trainer.averaged() as averaged:
            generated = draw(averaged, config, asked.conditions, trainer.accelerator.device, advance=show.advance)
        sampling_seconds = time.perf_counter() - started
        show.phase("scoring", 1)
        quality = score(job, generated, asked, parts)
        shown = min(SHOWN, sizes.samples)
        above = torch.cat([generated[:shown], asked.images[:shown]])
        gallery.write_strip(Path(job.out) / job.image("samples"), above)
        gallery.write_example(Path(job.out) / job.image("example"), generated[0])
        macro = quality["attributes"]["macro"]["accuracy"]
        show.say(f"scored: attribute accuracy {macro:.3f}")
    return Record(
        config=config.as_dict(),
        environment=environment(config.device),
        command=job.command,
        status="done",
        data={
            "images": len(avatars),
            "held_out": len(parts.held_out),
            "leaked": parts.leaked,
            "skipped": avatars.skipped,
            "schema": avatars.schema.to_json(),
        },
        measurements={
            "blocks": contestants.contestant(config.contestant).blocks,
            "cost": static_cost(config.contestant, width, sizes.image_size, sizes.scale),
            "full_cost": published_cost(config.contestant),
            "probe_seconds_per_step": job.probe,
            "sampling": {"seconds": sampling_seconds, "images": len(generated)},
            "training": asdict(trainer.log) | {"warm_up_epochs": 1},
            **quality,
        },
        images={"epochs": strips, "samples": job.image("samples"), "example": job.image("example")},
    )


def failure(error: BaseException) -> str:
    """Why a run failed, in a few words for its row."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error):
        return "out of memory"
    return str(error) if isinstance(error, RunFailed) else f"{type(error).__name__}: {error}".splitlines()[0]


def failed_record(job: Job, why: str) -> Record:
    return Record(job.config, environment(job.run.device), job.command, status="failed", error=why)


def main() -> int:
    """Run the job given as a JSON file; its record is the result. Exit 1 if the run failed, 2 on bad input."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
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


def write_unless_measured(path: Path, record: Record) -> None:
    """A failure gets its row, but never the place of something that was measured."""
    measured = path.exists() and json.loads(path.read_text()).get("status") == "done"
    if not measured:
        durable.write_text(path, record.to_json())


if __name__ == "__main__":
    sys.exit(main())
