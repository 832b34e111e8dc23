"""From a request to records: what is shared is prepared once, then each contestant and seed has its own process."""

import functools
import json
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import torch

from bench import durable
from bench.config import RunConfig, differences, recipe_for, run_name
from bench.cost.machine import machine_peaks
from bench.cost.probe import Probes, as_record, read_probes, settle, write_probes
from bench.cost.trial import release_memory
from bench.data.dataset import AvatarSet, Split, split
from bench.data.library import DataRequest, cache_path, load
from bench.display import display
from bench.environment import commit
from bench.errors import BadInput
from bench.job import Job, failed_record
from bench.lock import lock
from bench.quality.classifier import ClassifierConfig
from bench.quality.features import INCEPTION, extractor_named
from bench.quality.judge import cached_judge, judge_path
from bench.record import read_record, record_path, write_unless_measured
from bench.request import RunRequest, extractors, preflight


def run(request: RunRequest) -> list[str]:
    """All contestants with all seeds, each to its record; the names of the runs that are not done."""
    device = preflight(request)
    code = commit()  # before anything is written: records tell of the code, not of what it wrote
    with lock(request.out) as locked:
        data = DataRequest(request.data, request.sizes.images, request.sizes.image_size, request.skip_bad)
        avatars_path = cache_path(data, request.cache)
        avatars = load(data, avatars_path)
        parts = split(avatars)
        check_enough(parts, request.sizes.batch_size)
        if request.fresh:
            forget(request)
        configs = configure(request, avatars, parts.train, device)
        begin(request.out, configs)
        judge = prepare_judge(request, parts, device)
        probes = read_probes(request.out)
        peak = functools.cache(machine_peaks)  # one for all runs, and none where all are finished
        for config in configs:
            if finished(request, config):
                print(f"{config.name}: finished already, --fresh measures it anew", file=sys.stderr)
                continue
            job = Job(
                config=config.as_dict(),
                command=request.command,
                commit=code,
                out=str(request.out),
                cache=str(request.cache),
                avatars=str(avatars_path),
                judge=str(judge),
                extractors=extractors(request),
                probe=as_record(probes.seconds.get(config.contestant, {})),
                machine_peak=peak(config.device, config.mixed_precision),
            )
            release_memory()
            run_in_process(job, locked)
        return [config.name for config in configs if not finished(request, config)]


def check_enough(parts: Split, batch_size: int) -> None:
    if len(parts.train) < batch_size:
        raise BadInput(f"{len(parts.train)} training images do not fill a batch of {batch_size}: lower --batch-size")
    if len(parts.held_out) < 2:
        raise BadInput(f"{len(parts.train) + len(parts.held_out)} images are too few: a tenth, at least 2, is held out")


def forget(request: RunRequest) -> None:
    """Drop the state of the runs asked for; records stay until new ones replace them."""
    for name in request.contestants:
        for seed in request.seeds:
            durable.remove_folder(request.out / ".work" / run_name(name, request.recipe, seed))
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
            recipe=recipe_for(request.recipe, name),
            sizes=request.sizes,
            data=avatars.source,
            data_hash=avatars.content_hash,
            device=device,
            mixed_precision="no",
            memory_format="contiguous",
        )
        for name in request.contestants
        for seed in request.seeds
    ]
    begun = [draft for draft in drafts if config_path(request.out, draft).exists()]
    fresh = [draft for draft in drafts if draft not in begun]
    layouts: dict[str, str] = {}
    if fresh:
        precision, layouts = settle(request.out, request.mixed_precision, fresh, train)
    return [
        as_begun(request, draft)
        if draft in begun
        else replace(draft, mixed_precision=precision, memory_format=layouts[draft.contestant])
        for draft in drafts
    ]


def config_path(out: Path, config: RunConfig) -> Path:
    return out / ".work" / config.name / "config.json"


def as_begun(request: RunRequest, draft: RunConfig) -> RunConfig:
    """The draft with the precision and layout that its run was begun with."""
    begun = json.loads(config_path(request.out, draft).read_text())
    precision = request.mixed_precision or begun["mixed_precision"]
    return replace(draft, mixed_precision=precision, memory_format=begun["memory_format"])


def begin(out: Path, configs: list[RunConfig]) -> None:
    """Note each run's configuration; BadInput, before any is noted, if one was begun with another."""
    for config in configs:
        path = config_path(out, config)
        before = json.loads(path.read_text()) if path.exists() else config.as_dict()
        changed = differences(json.loads(json.dumps(before)), json.loads(json.dumps(config.as_dict())))
        if changed:
            raise BadInput(
                f"{config.name} in '{out}' was begun with another configuration ({'; '.join(changed)}): "
                "pass --fresh, or another --out"
            )
    for config in configs:
        durable.write_text(config_path(out, config), json.dumps(config.as_dict()))


def finished(request: RunRequest, config: RunConfig) -> bool:
    """Whether this run's record is the one that was measured here, with every distance now asked for."""
    record, mark = record_path(request.out, config), request.out / ".work" / config.name / "finished.json"
    if not (record.exists() and mark.exists() and record.read_bytes() == mark.read_bytes()):
        return False
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


def run_in_process(job: Job, locked: int) -> None:
    """Run a job in a process of its own; its record is on disk afterwards, a failed one if it died."""
    path = job.folder / "job.json"
    durable.write_text(path, json.dumps(asdict(job)))
    stopping: list[int] = []
    process: subprocess.Popen | None = None

    def stop(*_: object) -> None:
        stopping.append(signal.SIGTERM)
        if process is not None:
            process.terminate()

    previous = signal.signal(signal.SIGTERM, stop)  # before the worker starts: none is left behind
    try:
        command = [sys.executable, "-m", "bench.worker", str(path)]
        process = subprocess.Popen(command, stdout=sys.stderr, pass_fds=(locked,))
        if stopping:
            process.terminate()
        status = process.wait()
    except KeyboardInterrupt:
        if process is not None:
            process.send_signal(signal.SIGINT)
            process.wait()
        raise
    finally:
        signal.signal(signal.SIGTERM, previous)
    if stopping or status in (-signal.SIGTERM, 143):
        sys.exit(143)
    if status in (-signal.SIGINT, 130):
        raise KeyboardInterrupt
    if status == 2:
        write_unless_measured(record_path(Path(job.out), job.run), failed_record(job, "refused: see its message"))
    if status < 0:
        why = f"killed by {signal.Signals(-status).name}"
        why += " (out of memory?)" if -status == signal.SIGKILL else ""
        write_unless_measured(record_path(Path(job.out), job.run), failed_record(job, why))
