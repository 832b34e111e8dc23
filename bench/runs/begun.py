"""What a run began with: noted before it trains, held against what is asked when it goes on."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.config import RunConfig, differences
from bench.environment import training_code
from bench.errors import BadInput
from bench.quality.features import extractor_named
from bench.runs.request import (
    RunRequest,
    asked_distances,
    extractors,
)
from bench.storage import durable
from bench.storage.folder import ResultsFolder, RunFolder
from bench.storage.records import read_record

SETTLED = ("mixed_precision", "memory_format", "budget_steps")  # by the machine and its probe, as a run begins


def config_path(out: Path, config: RunConfig) -> Path:
    return ResultsFolder(out).run(config.name).config


def note_of(config: RunConfig) -> dict[str, Any]:
    """What a run begins with: its configuration, and a digest of the code that trains it."""
    return config.as_dict() | {"code": training_code(config.contestant)}


def begin(request: RunRequest, configs: list[RunConfig]) -> None:
    """Note what each run begins with."""
    for config in configs:
        durable.write_text(config_path(request.out, config), json.dumps(note_of(config)))


def read_begun(run: RunFolder) -> dict[str, Any]:
    """What was noted of a run as it began; BadInput if that cannot be read."""
    path = run.config
    try:
        told = dict(json.loads(path.read_text()))
        known = RunConfig.from_dict({name: value for name, value in told.items() if name != "code"})
        begun = json.loads(json.dumps(known.as_dict())) | {"code": told["code"]}  # with what older code did not note
        return begun | {name: begun[name] for name in SETTLED}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadInput(f"'{path.parent.name}/{path.name}' cannot be read ({error}): start over with --fresh") from error


def as_begun(request: RunRequest, draft: RunConfig) -> RunConfig:
    """The draft with the precision and layout that its run was begun with."""
    begun = read_begun(ResultsFolder(request.out).run(draft.name))
    precision = request.mixed_precision or begun["mixed_precision"]
    layout, steps = begun["memory_format"], tuple(begun["budget_steps"])
    return replace(draft, mixed_precision=precision, memory_format=layout, budget_steps=steps)


def refuse_changed(request: RunRequest, configs: list[RunConfig]) -> None:
    """BadInput if a run was begun with something else.

    Another device is accepted: the record will say that the result may not be bit-identical.
    """
    for config in configs:
        if not config_path(request.out, config).exists():
            continue
        before, now = read_begun(ResultsFolder(request.out).run(config.name)), json.loads(json.dumps(note_of(config)))
        passing = {"device": now["device"]} | ({"code": now["code"]} if finished(request, config) else {})
        changed = differences(before | passing, now)
        if changed:
            told = ["the code that trains it has changed" if each.startswith("code: ") else each for each in changed]
            raise BadInput(
                f"{config.name} in '{request.out}' was begun with another configuration ({'; '.join(told)}): "
                f"`--contestants {config.contestant} --fresh` begins it anew, another --out keeps both"
            )


def is_of_old_code(request: RunRequest, config: RunConfig) -> bool:
    """Whether a run was begun by other code than would train it now."""
    begun = read_begun(ResultsFolder(request.out).run(config.name))
    return bool(begun["code"] != training_code(config.contestant))


def finished(request: RunRequest, config: RunConfig) -> bool:
    """Whether this run's record is the one that was measured here, with every distance now asked for."""
    run = ResultsFolder(request.out).run(config.name)
    record, mark = run.record, run.finished
    if not (record.exists() and mark.exists() and record.read_bytes() == mark.read_bytes()):
        return False
    asked = asked_distances(request)
    measured = read_record(record).measurements.distance.keys()
    lost = measured - {extractor_named(text) for text in extractors(request)}
    if lost and not asked <= measured:
        raise BadInput(
            f"{config.name} has distances by {', '.join(sorted(lost))}, which scoring anew would lose: name its "
            "weights or extractor too"
        )
    return asked <= measured
