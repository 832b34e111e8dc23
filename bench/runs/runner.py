"""From a request to records: what is shared is prepared once, then each contestant and seed has its own process."""

import functools
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bench.config import RunConfig, differences, recipe_for, run_name
from bench.cost.estimate import estimate
from bench.cost.machine import check_arithmetic, machine_peaks
from bench.cost.probe import Probes, as_record, precisions_for, probed_batch, read_probes, settle, write_probes
from bench.cost.trial import release_memory
from bench.data.dataset import AvatarSet, Split, split
from bench.data.library import DataRequest, cache_path, load
from bench.display import display
from bench.environment import commit, training_code
from bench.errors import BadInput
from bench.quality.classifier import ClassifierConfig
from bench.quality.features import INCEPTION, extractor_named
from bench.quality.judge import cached_judge, judge_path
from bench.record import read_record
from bench.render.table.row import duration
from bench.runs.job import Job, note_failure
from bench.runs.launch import run_in_processes
from bench.runs.only_missing import kept_records
from bench.runs.request import RunRequest, check_memory, check_space, checkpoint_bytes, extractors, preflight
from bench.stopping import reserve_time
from bench.storage import durable
from bench.storage.folder import ResultsFolder
from bench.storage.lock import lock

TIME_TO_SAVE, SAVED_PER_SECOND = 5.0, 200e6  # seconds, and bytes: set aside of a time limit


def run(request: RunRequest) -> list[str]:
    """All contestants with all seeds, each to its record; the names of the runs that are not done.

    A plug-in whose own code fails before anything is run gets its row, and the others go on.
    """
    device, unfit = preflight(request)
    request, asked = replace(request, contestants=[n for n in request.contestants if n not in unfit]), request
    code = commit()  # before anything is written: records tell of the code, not of what it wrote
    with lock(request.out) as locked:
        sweep(request)
        data = DataRequest(request.data, request.sizes.images, request.sizes.image_size, request.skip_bad)
        avatars_path = cache_path(data, request.cache)
        avatars = load(data, avatars_path)
        parts = split(avatars)
        check_enough(parts, request.sizes.batch_size)
        if request.fresh:
            forget(request)
        configs = configure(request, avatars, parts.train, device)
        refuse_impossible(request, configs, parts.train.schema.width)
        refuse_too_short(request, configs, parts.train.schema.width)
        say_how_long(request, [config for config in configs if not finished(request, config)])
        begin(request, configs)
        if not configs:
            return []
        judge = prepare_judge(request, parts, device)
        peak = functools.cache(machine_peaks)  # one for all runs, and none where all are finished
        for config in configs:
            if finished(request, config):
                print(f"{config.name}: finished already, --fresh measures it anew", file=sys.stderr)
                continue
            job = job_for(request, config, code, avatars_path, judge, peak(config.device, config.mixed_precision))
            release_memory()
            run_in_processes(job, locked)
        lost = [replace(configs[0], contestant=name, seed=seed) for name in unfit for seed in asked.seeds]
        for config in lost:
            note_failure(job_for(request, config, code, avatars_path, judge, {}), unfit[config.contestant])
        return [config.name for config in configs if not finished(request, config)] + [config.name for config in lost]


def job_for(
    request: RunRequest, config: RunConfig, code: str | None, avatars: Path, judge: Path, machine_peak: dict[str, Any]
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
        judge=str(judge),
        extractors=extractors(request),
        probe=as_record(probes.seconds.get(config.contestant, {})),
        machine_peak=machine_peak,
        pictures=not (config.sizes.max_steps or another_seed_has_pictures(request.out, config)),
    )


def another_seed_has_pictures(out: Path, config: RunConfig) -> bool:
    """Whether the larger pictures of this contestant are there already: those of one seed are enough."""
    folder = ResultsFolder(out)
    own, others = folder.record(config.name), folder.record_files(run_name(config.contestant, config.recipe.name, "*"))
    return any("guidance" in read_record(path).images for path in others if path != own)


def sweep(request: RunRequest) -> None:
    """Remove what killed runs have left half-written, but nothing of anybody else's."""
    folder = ResultsFolder(request.out)
    for ours in (folder.work, folder.records, folder.images):
        durable.sweep(ours)
    durable.sweep(request.out, deep=False)
    durable.sweep(request.cache, deep=False, older_than=durable.NOBODYS)


def refuse_impossible(request: RunRequest, configs: list[RunConfig], condition_width: int) -> None:
    """BadInput, before anything is noted, if a run cannot go on as it was begun, or not on this machine."""
    refuse_changed(request, configs)
    undone = [config for config in configs if not finished(request, config)]
    check_space(request.out, undone, condition_width)
    for device, precision in sorted({(config.device, config.mixed_precision) for config in undone}):
        check_arithmetic(device, precision)


def check_enough(parts: Split, batch_size: int) -> None:
    if len(parts.train) < batch_size:
        raise BadInput(f"{len(parts.train)} training images do not fill a batch of {batch_size}: lower --batch-size")
    if len(parts.held_out) < 2:
        raise BadInput(f"{len(parts.train) + len(parts.held_out)} images are too few: a tenth, at least 2, is held out")


def forget(request: RunRequest) -> None:
    """Drop the state of the runs asked for; records stay until new ones replace them."""
    results = ResultsFolder(request.out)
    for name in request.contestants:
        for seed in request.seeds:
            run = results.run(run_name(name, request.recipe, seed))
            for folder in (run.path, results.logs / run.name):
                durable.remove_folder(folder)
    probes = read_probes(request.out)
    kept = {name: seconds for name, seconds in probes.seconds.items() if name not in request.contestants}
    write_probes(request.out, Probes(probes.precision if kept else None, kept))


def prepare_judge(request: RunRequest, parts: Split, device: str) -> Path:
    """Train the attribute classifier, or find it; where its weights lie."""
    config = ClassifierConfig(steps=request.sizes.judge_steps)
    with display("judge") as show:
        show.phase("training on real images", config.steps)
        cached_judge(
            parts,
            config,
            torch.device(device),
            request.cache,
            lambda _, loss: show.advance(info=f"loss {loss:.2f}"),
        )
    return judge_path(parts, config, request.cache)


def configure(request: RunRequest, avatars: AvatarSet, train: AvatarSet, device: str) -> list[RunConfig]:
    """The complete configuration of every run; layout and precision come from the probe."""
    drafts = [
        RunConfig(
            contestant=name,
            seed=seed,
            preset=request.preset,
            recipe=request.sizes.applied_to(recipe_for(request.recipe, name)),
            sizes=request.sizes,
            data=avatars.source,
            data_hash=avatars.content_hash,
            device=device,
            mixed_precision="no",
            memory_format="contiguous",
            processes=request.processes,
        )
        for name in request.contestants
        for seed in request.seeds
    ]
    kept = kept_records(request.out, drafts, request.mixed_precision) if request.only_missing else {}
    for draft in kept:
        print(f"{draft.name}: its record is kept", file=sys.stderr)
    drafts = [draft for draft in drafts if draft not in kept]
    undone = [draft for draft in drafts if not finished(request, draft)]
    check_memory(undone, train.schema.width, precisions_for(device, request.mixed_precision))  # the probe trains, too
    begun = [draft for draft in drafts if config_path(request.out, draft).exists()]
    fresh = [draft for draft in drafts if draft not in begun]
    layouts: dict[str, str] = {}
    if fresh and request.sizes.max_steps:
        precision = request.mixed_precision or "no"
        layouts = dict.fromkeys(request.contestants, "channels_last")
    elif fresh:
        asked = request.mixed_precision or next((r.run.mixed_precision for r in kept.values()), None)
        precision, layouts = settle(request.out, asked, fresh, train)
    return [
        as_begun(request, draft)
        if draft in begun
        else replace(draft, mixed_precision=precision, memory_format=layouts[draft.contestant])
        for draft in drafts
    ]


def config_path(out: Path, config: RunConfig) -> Path:
    return ResultsFolder(out).run(config.name).config


def as_begun(request: RunRequest, draft: RunConfig) -> RunConfig:
    """The draft with the precision and layout that its run was begun with."""
    begun = read_begun(request.out, draft)
    precision = request.mixed_precision or begun["mixed_precision"]
    return replace(draft, mixed_precision=precision, memory_format=begun["memory_format"])


def read_begun(out: Path, config: RunConfig) -> dict[str, Any]:
    """What `begin` noted of a run; BadInput if that cannot be read."""
    path = config_path(out, config)
    try:
        begun = dict(json.loads(path.read_text()))
        return begun | {name: begun[name] for name in ("mixed_precision", "memory_format")}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadInput(f"'{path.parent.name}/{path.name}' cannot be read ({error}): start over with --fresh") from error


def refuse_changed(request: RunRequest, configs: list[RunConfig]) -> None:
    """BadInput if a run was begun with something else.

    Another device is let pass: the record will say that its bits may differ.
    """
    for config in configs:
        if not config_path(request.out, config).exists():
            continue
        before, now = read_begun(request.out, config), json.loads(json.dumps(note_of(config)))
        passing = {"device": now["device"]} | ({"code": now["code"]} if finished(request, config) else {})
        if may_go_on(before, config):
            passing["sizes"] = before["sizes"] | {"epochs": config.sizes.epochs}
        changed = differences(before | passing, now)
        if changed:
            raise BadInput(
                f"{config.name} in '{request.out}' was begun with another configuration ({'; '.join(changed)}): "
                "pass --fresh, or another --out"
            )


def say_how_long(request: RunRequest, configs: list[RunConfig]) -> None:
    """About how long training and sampling will take, by the probe; nothing where none could be made."""
    probed = read_probes(request.out).seconds
    whole = 0.0
    for config in configs:
        by_layout = probed.get(config.contestant, {}).get(config.mixed_precision)
        if by_layout is None:
            return
        step = by_layout[config.memory_format] * config.sizes.batch_size / probed_batch(config)
        parts = estimate(config.sizes, config.recipe, step, None)
        whole += parts["total"]
        print(
            f"{config.name} will take about {duration(parts['total'])} here: training {duration(parts['training'])}, "
            f"sampling {duration(parts['sampling'])}",
            file=sys.stderr,
        )
    if len(configs) > 1:
        print(f"all {len(configs)} about {duration(whole)}, besides data, classifier and scoring", file=sys.stderr)


def may_go_on(before: dict[str, Any], config: RunConfig) -> bool:
    """Whether only more epochs are asked of a run, under a schedule that does not depend on their number."""
    return config.recipe.optimisation.schedule == "step" and before["sizes"]["epochs"] < config.sizes.epochs


def refuse_too_short(request: RunRequest, configs: list[RunConfig], condition_width: int) -> None:
    """BadInput if the time limit leaves no time for a training step; from here on, time to save is set aside."""
    probed = read_probes(request.out).seconds
    steps = [
        probed[config.contestant][config.mixed_precision][config.memory_format]
        for config in configs
        if config.mixed_precision in probed.get(config.contestant, {})
    ]
    largest = max((checkpoint_bytes(config, condition_width) for config in configs), default=0)
    left = reserve_time(TIME_TO_SAVE + largest / SAVED_PER_SECOND)
    if left < max(steps, default=0.0):
        raise BadInput(
            f"--time-limit leaves {max(left, 0):.1f} s, and a training step takes {max(steps, default=0):.1f} s here: "
            "give it more"
        )


def note_of(config: RunConfig) -> dict[str, Any]:
    """What a run begins with: its configuration, and a digest of the code that trains it."""
    return config.as_dict() | {"code": training_code(config.contestant)}


def begin(request: RunRequest, configs: list[RunConfig]) -> None:
    """Note what each run begins with."""
    for config in configs:
        durable.write_text(config_path(request.out, config), json.dumps(note_of(config)))


def finished(request: RunRequest, config: RunConfig) -> bool:
    """Whether this run's record is the one that was measured here, with every distance now asked for."""
    run = ResultsFolder(request.out).run(config.name)
    record, mark = run.record, run.finished
    if not (record.exists() and mark.exists() and record.read_bytes() == mark.read_bytes()):
        return False
    if read_record(record).run.sizes.epochs < config.sizes.epochs:
        return False  # more of them are asked now
    asked = {extractor_named(text) for text in request.extractors}
    asked |= {INCEPTION} if request.inception_weights is not None else set()
    measured = read_record(record).measurements["distance"].keys()
    lost = measured - {extractor_named(text) for text in extractors(request)}
    if lost and not asked <= measured:
        raise BadInput(
            f"{config.name} has distances by {', '.join(sorted(lost))}, which scoring anew would lose: name its "
            "weights or extractor too"
        )
    return asked <= measured
