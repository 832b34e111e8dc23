"""From a request to records: what is shared is prepared once, then each contestant and seed has its own process."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch

from bench import contestants, durable
from bench.config import RunConfig, Sizes, differences, recipe_for, run_name
from bench.cost.timing import as_record, choose, precisions_for, probe
from bench.data.dataset import AvatarSet, Split, split
from bench.data.library import DataRequest, cache_path, load
from bench.display import display
from bench.environment import choose_device
from bench.errors import BadInput
from bench.quality.attributes import cached_judge, judge_path
from bench.quality.classifier import ClassifierConfig
from bench.quality.features import check_inception_weights
from bench.record import record_path
from bench.worker import Job, failed_record, write_unless_measured


@dataclass(frozen=True)
class RunRequest:
    """What the user asked of `bench run`."""

    preset: str
    sizes: Sizes
    contestants: list[str]
    recipe: str
    seeds: list[int]
    data: str
    out: Path
    cache: Path
    device: str
    mixed_precision: str | None  # None: the probe chooses
    inception_weights: Path | None
    skip_bad: bool
    fresh: bool
    command: str


def preflight(request: RunRequest) -> str:
    """Everything that can be refused before work is done; the device to run on."""
    device = choose_device(request.device)
    for name in request.contestants:
        recipe_for(request.recipe, name)
        contestants.build_on_meta(name, 2, request.sizes.image_size, request.sizes.scale)
    if request.mixed_precision == "fp16" and device == "cpu":
        raise BadInput("--mixed-precision fp16 needs a GPU: use bf16 or no")
    if request.inception_weights is not None:
        check_inception_weights(request.inception_weights)
    for folder in (request.out, request.cache):
        check_writable(folder)
    return device


def check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe_file = folder / f".writable-{os.getpid()}"
        probe_file.touch()
        probe_file.unlink()
    except OSError as error:
        raise BadInput(
            f"'{folder}' cannot be written ({error.strerror}): name another folder by --out or --cache"
        ) from error


@contextmanager
def lock(out: Path) -> Iterator[None]:
    """Keep a second run out of a results folder; the system frees the lock when its owner dies."""
    path = out / ".work" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise BadInput(f"'{out}' is in use by process {file.read() or '?'}: wait, or use another --out") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def run(request: RunRequest) -> bool:
    """All contestants with all seeds, each to its record; whether every one of them is done."""
    device = preflight(request)
    with lock(request.out):
        if request.fresh:
            forget(request)
        data = DataRequest(request.data, request.sizes.images, request.sizes.image_size, request.skip_bad)
        avatars = load(data, request.cache)
        parts = split(avatars)
        configs = configure(request, avatars, parts.train, device)
        for config in configs:
            check_unchanged(request.out, config)
        judge = prepare_judge(request, parts, device)
        probes = read_probes(request.out)
        for config in configs:
            if finished(request.out, config):
                print(f"{config.name}: finished already, --fresh measures it anew", file=sys.stderr)
                continue
            job = Job(
                config=config.as_dict(),
                command=request.command,
                out=str(request.out),
                cache=str(request.cache),
                avatars=str(cache_path(data, request.cache)),
                judge=str(judge),
                inception_weights=None if request.inception_weights is None else str(request.inception_weights),
                probe=as_record(probes.seconds[config.contestant]),
            )
            run_in_process(job)
        return all(finished(request.out, config) for config in configs)


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
    precision, layouts = probed(request, drafts, train, device)
    return [replace(draft, mixed_precision=precision, memory_format=layouts[draft.contestant]) for draft in drafts]


@dataclass
class Probes:
    """What the probe has timed in a results folder, and the one precision that was chosen there."""

    precision: str | None = None
    seconds: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)  # contestant, precision, layout


def read_probes(out: Path) -> Probes:
    path = out / ".work" / "probe.json"
    return Probes(**json.loads(path.read_text())) if path.exists() else Probes()


def write_probes(out: Path, probes: Probes) -> None:
    durable.write_text(out / ".work" / "probe.json", json.dumps(asdict(probes)))


def probed(request: RunRequest, drafts: list[RunConfig], train: AvatarSet, device: str) -> tuple[str, dict[str, str]]:
    """Precision for all, and layout for each contestant; timed once a results folder, so that a rerun agrees."""
    probes = read_probes(request.out)
    settled = request.mixed_precision or probes.precision
    precisions = precisions_for(device, settled)
    missing = {d.contestant: d for d in drafts if not set(precisions) <= set(probes.seconds.get(d.contestant, ()))}
    if missing:
        with display("probe") as show:
            show.phase("memory layout and precision", len(missing))
            for name, draft in missing.items():
                probes.seconds[name] = probes.seconds.get(name, {}) | probe(draft, train, precisions)
                show.advance(info=name)
    chosen = {name: {p: probes.seconds[name][p] for p in precisions} for name in request.contestants}
    precision, layouts = choose(chosen)
    probes.precision = probes.precision or precision
    write_probes(request.out, probes)
    return precision, layouts


def check_unchanged(out: Path, config: RunConfig) -> None:
    """BadInput that lists the fields if this run was begun with another configuration."""
    path = out / ".work" / config.name / "config.json"
    if not path.exists():
        durable.write_text(path, json.dumps(config.as_dict()))
        return
    changed = differences(json.loads(path.read_text()), json.loads(json.dumps(config.as_dict())))
    if changed:
        raise BadInput(
            f"{config.name} in '{out}' was begun with another configuration ({'; '.join(changed)}): "
            "pass --fresh, or another --out"
        )


def finished(out: Path, config: RunConfig) -> bool:
    """Whether this run's record is the one that was measured here."""
    record, mark = record_path(out, config), out / ".work" / config.name / "finished.json"
    return record.exists() and mark.exists() and record.read_bytes() == mark.read_bytes()


def run_in_process(job: Job) -> None:
    """Run a job in a process of its own; its record is on disk afterwards, a failed one if it died."""
    path = job.folder / "job.json"
    durable.write_text(path, json.dumps(asdict(job)))
    process = subprocess.Popen([sys.executable, "-m", "bench.worker", str(path)], stdout=sys.stderr)
    previous = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        status = process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        process.wait()
        raise
    finally:
        signal.signal(signal.SIGTERM, previous)
    if status in (130, 143):
        sys.exit(status)
    if status == 2:
        raise BadInput("the run above was refused")
    if status < 0:
        why = f"killed by {signal.Signals(-status).name}"
        why += " (out of memory?)" if -status == signal.SIGKILL else ""
        write_unless_measured(record_path(Path(job.out), job.run), failed_record(job, why))
