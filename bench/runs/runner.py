"""From a request to records: what is shared is prepared once, then each contestant and seed has its own process."""

import functools
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bench import contestants
from bench.config import RunConfig, run_name
from bench.cost.machine import check_arithmetic, machine_peaks
from bench.cost.probe import as_record, read_probes
from bench.cost.steps import release_memory
from bench.data.library import DataRequest, cache_path, load
from bench.data.splits import Split, split
from bench.display import display
from bench.environment import commit, training_code
from bench.errors import BadContestant, BadInput
from bench.quality.classifier import ClassifierConfig, cached_classifier, classifier_path
from bench.runs.begun import begin, finished, is_of_old_code, refuse_changed
from bench.runs.configure import configure, drafts_of, refuse_too_short, say_how_long
from bench.runs.job import Job, note_failure
from bench.runs.launch import run_in_processes
from bench.runs.request import (
    RunRequest,
    check_space,
    extractors,
    preflight,
)
from bench.runs.trained_alike import take_training
from bench.storage import durable
from bench.storage.folder import ResultsFolder
from bench.storage.lock import lock
from bench.storage.records import read_record


def run(request: RunRequest) -> list[str]:
    """All contestants with all seeds, each to its record; the names of the runs that are not done.

    A plug-in whose own code fails before anything is run gets its row, and the others go on.
    """
    device, unfit = preflight(request)
    code = commit()  # before anything is written: records tell of the code, not of what it wrote
    with lock(request.out) as locked:
        sweep(request)
        data = DataRequest(request.data, request.sizes.images, request.sizes.image_size, request.skip_bad)
        avatars_path = cache_path(data, request.cache)
        avatars = load(data, avatars_path)
        parts = split(avatars)
        check_enough(parts, request.sizes.batch_size)
        request = request.matched(avatars.schema.width, unfit)
        unfit |= unfit_for(avatars.schema.width, request, unfit)
        drafts = drafts_of(request, avatars, device)
        configs = configure(request, [draft for draft in drafts if draft.contestant not in unfit], parts.train)
        refuse_impossible(request, configs, parts.train.schema.width)
        if request.fresh:
            forget(request)
        say_how_long(request, configs)
        for config in configs:
            take_training(request, config)
        undone = [config for config in configs if not finished(request, config)]
        begin(request, undone)
        for draft in (draft for draft in drafts if draft.contestant in unfit):
            note_failure(job_for(request, draft, code, avatars_path, Path(), {}), unfit[draft.contestant])
        for config in (config for config in configs if config not in undone):
            print(f"{config.name}: finished already, {measured_anew(request, config)}", file=sys.stderr)
        if undone:
            classifier = prepare_classifier(request, parts, device)
            peak = functools.cache(machine_peaks)  # one for all runs
        for config in undone:
            job = job_for(request, config, code, avatars_path, classifier, peak(config.device, config.mixed_precision))
            job = replace(job, training_code=training_code(config.contestant))
            release_memory()
            run_in_processes(job, locked, request.others)
        lost = [draft.name for draft in drafts if draft.contestant in unfit]
        return [config.name for config in configs if not finished(request, config)] + lost


def measured_anew(request: RunRequest, config: RunConfig) -> str:
    """How to measure a finished run again; and that its numbers are old, if the code that trained it is."""
    again = f"`--contestants {config.contestant} --fresh` measures it anew"
    return f"by code that has changed since: its numbers are OLD, {again}" if is_of_old_code(request, config) else again


def unfit_for(condition_width: int, request: RunRequest, known: dict[str, str]) -> dict[str, str]:
    """Why a plug-in that could be built so far cannot be built for these data; BadInput if no contestant can."""
    sizes, found = request.sizes, {}
    for name in [name for name in request.contestants if name not in known and ":" in name]:
        try:
            contestants.check(name, sizes.image_size, request.sizes_for(name).scale, condition_width)
        except BadContestant as error:
            found[name] = str(error)
    if len(found) + len(known) == len(request.contestants):
        raise BadInput("; ".join(found.values()))
    return found


def job_for(
    request: RunRequest,
    config: RunConfig,
    code: str | None,
    avatars: Path,
    classifier: Path,
    machine_peak: dict[str, Any],
) -> Job:
    """What the worker of a run is told."""
    probes = read_probes(request.out)
    return Job(
        config=config.as_dict(),
        command=request.command,
        commit=code,
        checkpoint_seconds=request.checkpoint_seconds,
        report_to=request.report_to,
        out=str(request.out),
        cache=str(request.cache),
        avatars=str(avatars),
        classifier=str(classifier),
        extractors=extractors(request),
        probe=as_record(probes.of(config)),
        machine_peak=machine_peak,
        pictures=not (config.sizes.max_steps or another_seed_has_pictures(request.out, config)),
    )


def another_seed_has_pictures(out: Path, config: RunConfig) -> bool:
    """Whether the larger pictures of this contestant are there already: those of one seed are enough."""
    folder = ResultsFolder(out)
    own, others = folder.record(config.name), folder.record_files(run_name(config.contestant, config.recipe.name, "*"))
    return any(read_record(path).images.guidance for path in others if path != own)


def sweep(request: RunRequest) -> None:
    """Remove what killed runs have left half-written, but nothing of anybody else's."""
    folder = ResultsFolder(request.out)
    for ours in (folder.work, folder.records, folder.images):
        durable.sweep(ours)
    durable.sweep(request.out, deep=False)
    durable.sweep(request.cache, deep=False, older_than=durable.NOBODYS)


def refuse_impossible(request: RunRequest, configs: list[RunConfig], condition_width: int) -> None:
    """BadInput, before anything is noted or forgotten, if a run cannot go on as it began, or not on this machine."""
    if not request.fresh:
        refuse_changed(request, configs)
    undone = [config for config in configs if request.fresh or not finished(request, config)]
    check_space(request.out, undone, condition_width)
    for device, precision in sorted({(config.device, config.mixed_precision) for config in undone}):
        check_arithmetic(device, precision)
    refuse_too_short(request, configs, condition_width)


def check_enough(parts: Split, batch_size: int) -> None:
    if len(parts.train) < batch_size:
        raise BadInput(f"{len(parts.train)} training images do not fill a batch of {batch_size}: lower --batch-size")
    if len(parts.test) < 2:
        count = sum(map(len, (parts.train, parts.validation, parts.test)))
        raise BadInput(f"{count} images are too few: about a third is held out")


def forget(request: RunRequest) -> None:
    """Drop the state of the runs asked for; records stay until new ones replace them."""
    results = ResultsFolder(request.out)
    for name in request.contestants:
        for seed in request.seeds:
            run = results.run(run_name(name, request.recipe, seed))
            for folder in (run.path, results.logs / run.name):
                durable.remove_folder(folder)


def prepare_classifier(request: RunRequest, parts: Split, device: str) -> Path:
    """Train the attribute classifier, or find it; where its weights lie."""
    config = ClassifierConfig(steps=request.sizes.judge_steps)
    with display("classifier") as show:
        show.phase("training on real images", config.steps)
        cached_classifier(
            parts,
            config,
            torch.device(device),
            request.cache,
            lambda _, loss: show.advance(info=f"loss {loss:.2f}"),
        )
    return classifier_path(parts, config, request.cache)
