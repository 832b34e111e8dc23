"""`bench pictures`: the pictures of a results folder again, from its records and whatever checkpoints are left."""

import contextlib
from dataclasses import replace
from pathlib import Path

from bench.config import RunConfig
from bench.data.library import read_cache
from bench.data.splits import asked_of, split
from bench.display import display
from bench.errors import BadInput, RunFailed
from bench.inference.load import Model, begun_model, main_weights, ready
from bench.quality.classifier import load_classifier
from bench.record import Images, Record
from bench.render.report.exhibits import shown_records
from bench.render.results import write_results
from bench.render.table.column import columns
from bench.runs.job import Job
from bench.runs.pictures import draw_pictures, show_samples
from bench.sampling import samples
from bench.storage import durable
from bench.storage.folder import ResultsFolder
from bench.storage.lock import lock
from bench.storage.records import readable_records


def redraw(out: Path) -> tuple[list[str], list[str]]:
    """Draw what can be drawn of a results folder; a line for what cannot, and one for each record that is unreadable.

    The first seed of a contestant gets all of its pictures, the others their samples. Nothing measured is touched.
    """
    missing: list[str] = []
    with lock(out) if ResultsFolder(out).work.is_dir() else contextlib.nullcontext():
        records, refusals = readable_records(out)
        for column in columns([record for record in records if record.status == "done"]):
            first = shown_records(column)[0]
            for record in column.records:
                try:
                    images, lost = redraw_run(out, record, larger=record is first)
                except (BadInput, RunFailed) as error:
                    missing.append(f"{record.run.name}: no picture of its samples is drawn: {error}")
                else:
                    replace_images(out, record, images)
                    missing += [f"{record.run.name}: {line}" for line in lost]
        write_results(out, readable_records(out)[0])
    return missing, refusals


def redraw_run(out: Path, record: Record, larger: bool) -> tuple[Images, list[str]]:
    """All pictures of one run, and what is missing; BadInput or RunFailed, before any is drawn, where none can be."""
    config, job = record.run, job_of(out, record.run)
    model = measured_model(out, record)
    avatars = read_cache(Path(job.avatars))
    if avatars is None:
        raise BadInput("its data are no longer cached: run it again")
    parts = split(avatars.seen_by(config.recipe))
    asked = asked_of(parts, config.sizes.samples)
    denoiser, device = ready(model.denoiser(), config)
    classifier = load_classifier(Path(job.classifier), avatars.schema, device)
    job = replace(job, config=replace(config, device=str(device)).as_dict())
    with display(config.name) as show:
        drawn = {}
        for series in samples.series_of(config):
            show.phase(f"sampling, {series.name}", series.count)
            drawn[series.name] = samples.kept_samples(
                job.folder.samples, series, denoiser, config, asked.conditions, device, show.advance
            )
        found = show_samples(job.folder, job.run, drawn[samples.MAIN].images, asked)
        images = record.images.model_dump() | found
        if larger:
            images |= draw_pictures(job.folder, job.run, denoiser, asked, drawn, classifier, record.measurements, show)
    lost = ["confusions are not drawn: the classifier is no longer cached"] if larger and classifier is None else []
    return Images(**images), lost


def measured_model(out: Path, record: Record) -> Model:
    """The very model that a record tells of; BadInput if there is another one, or none."""
    run = ResultsFolder(out).run(record.run.name)
    if not run.finished.exists() or run.finished.read_bytes() != run.record.read_bytes():
        raise BadInput("the run in .work is not the one that was recorded: let it finish")
    if main_weights(run, record.run) is None:
        raise BadInput("the weights of its finished model are gone: run it again with --fresh")
    model, training = begun_model(run, record.run), record.measurements.training
    if training is None or model.steps != training.main_steps:
        raise BadInput(f"its weights are those of step {model.steps}, not the ones scored: run it again with --fresh")
    return model


def job_of(out: Path, config: RunConfig) -> Job:
    """What the run's worker was told, wherever the folder lies now; BadInput if that is gone."""
    path = ResultsFolder(out).run(config.name).job
    try:
        return replace(Job.from_json(path.read_text()), out=str(out))
    except OSError as error:
        raise BadInput("its checkpoints are not here, they are not committed") from error
    except (ValueError, TypeError) as error:
        raise BadInput(f"its {path.name} cannot be read ({error}): run it again") from error


def replace_images(out: Path, record: Record, images: Images) -> None:
    """Name other pictures in a record; a finished run stays one."""
    text = record.model_copy(update={"images": images}).to_json()
    run = ResultsFolder(out).run(record.run.name)
    durable.write_text(run.record, text)
    durable.write_text(run.finished, text)
