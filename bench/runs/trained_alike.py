"""Runs that are trained alike and differ in how they sample: the first one trains, the others take its models."""

import json
import shutil
import sys
from dataclasses import replace
from typing import Any

from bench.config import Recipe, RunConfig, Sizes, run_name
from bench.environment import device_name, training_code
from bench.errors import BadInput
from bench.record import Record
from bench.runs.begun import SETTLED, note_of
from bench.runs.request import RunRequest
from bench.storage import cache, durable
from bench.storage.checkpoint import STATE, damage, saved
from bench.storage.folder import ResultsFolder, RunFolder
from bench.storage.records import read_record

EVALUATION = ("samples", "curve_samples", "sweep_samples", "full_samples", "judge_steps", "sampling_steps")  # of Sizes


def trained_as(recipe: Recipe, sizes: Sizes) -> tuple[Recipe, Sizes]:
    """What training depends on: the same for recipes and sizes that differ only in how they sample and score."""
    none: dict[str, Any] = dict.fromkeys(EVALUATION, 0) | {"sampling_steps": None}
    return (
        replace(recipe, name="", sampler="ddim", sampling_steps=0, clip_sample=True, guidance=1.0),
        replace(sizes, **none),
    )


def as_trained(request: RunRequest, draft: RunConfig) -> RunConfig | None:
    """The draft, settled as a finished run here that is trained alike; None if there is none, and with `--fresh`."""
    there = trained_alike(request, draft)
    return settled_as(draft, there[0].run) if there else None


def take_training(request: RunRequest, config: RunConfig) -> None:
    """Let a run that has not begun begin with the finished models of one that is trained alike, if there is one."""
    results = ResultsFolder(request.out)
    here = results.run(config.name)
    for record in [] if here.config.exists() else trained_alike(request, config):
        other = results.run(record.run.name)
        if settled_as(config, record.run) == config and is_whole(other, record):
            copy_training(other, here, config)
            print(f"{config.name}: trained as {other.name}, so it takes that model", file=sys.stderr)
            return


def trained_alike(request: RunRequest, draft: RunConfig) -> list[Record]:
    """The records of finished runs in the same results folder that training would repeat: by this code, on such a
    machine. With `--fresh` nothing that stands is taken.
    """
    beside = ResultsFolder(request.out).run_folders(run_name(draft.contestant, "*", draft.seed))
    folders = [] if request.fresh else beside
    others = [run for run in folders if run.name != draft.name and run.finished.exists()]
    records = [record for other in others if (record := readable(other)) is not None and record.status == "done"]
    made = (training_code(draft.contestant), device_name(draft.device)) if records else None
    return [
        record
        for record in records
        if (record.environment.training_code, record.environment.device) == made
        and request.mixed_precision in (None, record.run.mixed_precision)
        and training_of(settled_as(draft, record.run)) == training_of(record.run)
    ]


def readable(run: RunFolder) -> Record | None:
    """The record that says that a run is finished; None if it cannot be read: then the run has nothing to give."""
    try:
        return read_record(run.finished)
    except BadInput:
        return None


def settled_as(draft: RunConfig, other: RunConfig) -> RunConfig:
    """The draft with what the machine has decided for another run."""
    return replace(draft, **{name: getattr(other, name) for name in SETTLED})


def training_of(config: RunConfig) -> RunConfig:
    """A configuration without what only sampling and scoring depend on."""
    recipe, sizes = trained_as(config.recipe, config.sizes)
    return replace(config, recipe=recipe, sizes=sizes)


def is_whole(run: RunFolder, record: Record) -> bool:
    """Whether a run still has its checkpoint of the end of training, and the weights of every budget."""
    training, checkpoints = record.measurements.training, saved(run.checkpoints)
    if training is None or not checkpoints or damage(checkpoints[-1]) is not None:
        return False
    log = json.loads((checkpoints[-1] / STATE).read_text())["log"]
    ends = [point.steps for point in training.points]
    return [point["steps"] for point in log["points"]] == ends and all(cache.read(run.weights(end)) for end in ends)


def copy_training(other: RunFolder, here: RunFolder, config: RunConfig) -> None:
    """Make the folder of a run that has finished training, all of it at once; what it was taken from is noted in it."""
    newest, weights = saved(other.checkpoints)[-1], other.path / "weights"
    durable.remove_folder(here.path)  # without a note of what it began with, nothing in it can be used
    with durable.new_folder(here.path) as copy:
        shutil.copytree(newest, copy / here.checkpoints.name / newest.name)
        shutil.copytree(weights, copy / weights.name)
        (copy / here.config.name).write_text(json.dumps(note_of(config)))
        (copy / here.taken_from.name).write_text(other.name)
        durable.sync_tree(copy)
