"""`bench pictures`: the pictures of a results folder again, from its records and whatever checkpoints are left."""

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bench import durable, samples
from bench.config import RunConfig
from bench.data.dataset import split
from bench.data.library import read_cache
from bench.display import display
from bench.environment import choose_device
from bench.errors import BadInput, RunFailed
from bench.evaluation import asked_of, judge_of
from bench.generate import load_denoiser, newest_checkpoint
from bench.job import Job
from bench.lock import lock
from bench.pictures import STRIP, draw_pictures, show_samples
from bench.record import Record, read_records, record_path
from bench.render import gallery
from bench.render.column import columns
from bench.render.table import write_table


def redraw(out: Path) -> list[str]:
    """Draw what can be drawn of a results folder; a line for everything that cannot.

    The first seed of a contestant gets all of its pictures, the others their samples. Nothing measured is touched.
    """
    missing = []
    with lock(out) if (out / ".work").is_dir() else contextlib.nullcontext():
        records = read_records(out)
        for column in columns([record for record in records if record.status == "done"]):
            for record in column.records:
                try:
                    images = redraw_run(out, record, larger=record is column.records[0])
                except (BadInput, RunFailed) as error:
                    missing.append(f"{record.run.name}: only what its record says is drawn, no samples: {error}")
                else:
                    replace_images(out, record, images)
        write_table(out, read_records(out))
    return missing


def redraw_run(out: Path, record: Record, larger: bool) -> dict[str, Any]:
    """All pictures of one run; BadInput or RunFailed that says what is gone."""
    config = record.run
    job = job_of(out, config)
    avatars = read_cache(Path(job.avatars))
    if avatars is None:
        raise BadInput("its data are no longer cached: run it again")
    parts = split(avatars)
    asked = asked_of(parts, config.sizes.samples)
    device = torch.device(choose_device(config.device))
    denoiser = load_denoiser(newest_checkpoint(out, config), config, avatars.schema.width).to(device)
    with display(config.name) as show:
        drawn = {}
        for series in samples.series_of(config):
            show.phase(f"sampling, {series.name}", series.count)
            drawn[series.name] = samples.kept_samples(
                job.samples, series, denoiser, config, asked.conditions, device, show.advance
            )
        images = record.images | show_epochs(job) | show_samples(job, drawn[samples.MAIN].images, asked)
        if larger:
            images |= draw_pictures(job, denoiser, asked, drawn, judge_of(job, parts), record.measurements, show)
    return images


def job_of(out: Path, config: RunConfig) -> Job:
    """What the run's worker was told, wherever the folder lies now; BadInput if that is gone."""
    path = out / ".work" / config.name / "job.json"
    try:
        return replace(Job(**json.loads(path.read_text())), out=str(out))
    except OSError as error:
        raise BadInput("its checkpoints are not here, they are not committed") from error
    except (ValueError, TypeError) as error:
        raise BadInput(f"its {path.name} cannot be read ({error}): run it again") from error


def show_epochs(job: Job) -> dict[str, list[str]]:
    """The strip of every epoch whose samples are kept."""
    paths = [job.image(f"epoch-{epoch:02d}") for epoch in range(1, job.run.sizes.epochs + 1)]
    for epoch, path in enumerate(paths, start=1):
        kept = samples.epoch_samples(job.samples, epoch)
        if kept is not None and len(kept) >= STRIP:
            gallery.write_strip(Path(job.out) / path, kept[:STRIP])
    return {"epochs": [path for path in paths if (Path(job.out) / path).exists()]}


def replace_images(out: Path, record: Record, images: dict[str, Any]) -> None:
    """Name other pictures in a record; a finished run stays one."""
    path, mark = record_path(out, record.run), out / ".work" / record.run.name / "finished.json"
    was_finished = mark.exists() and mark.read_bytes() == path.read_bytes()
    text = replace(record, images=images).to_json()
    durable.write_text(path, text)
    if was_finished:
        durable.write_text(mark, text)
