"""Runs that are trained alike and differ in how they sample: the first one trains, the others take its models."""

import shutil
import sys
from dataclasses import replace

from bench.config import RunConfig, run_name
from bench.environment import training_code
from bench.errors import BadInput
from bench.runs.begun import read_begun
from bench.runs.request import RunRequest
from bench.storage import durable
from bench.storage.folder import ResultsFolder, RunFolder

OF_SAMPLING = ("name", "sampler", "sampling_steps", "clip_sample", "guidance")  # fields of a recipe …
OF_SCORING = (  # … and of the sizes
    "samples",
    "curve_samples",
    "sweep_samples",
    "full_samples",
    "sampling_steps",
    "judge_steps",
)
OF_THE_MACHINE = ("mixed_precision", "memory_format", "budget_steps")  # settled when a run begins


def as_trained(request: RunRequest, draft: RunConfig) -> RunConfig | None:
    """The draft, settled as another run here that is trained alike and finished; None if there is none.

    With `--fresh` nothing that stands is taken.
    """
    for other in [] if request.fresh else runs_beside(request, draft):
        if (config := settled_as(request, draft, other)) is not None:
            return config
    return None


def take_training(request: RunRequest, config: RunConfig) -> None:
    """Copy the finished models, and the checkpoint that says that training is over, of a run that is trained alike."""
    here = ResultsFolder(request.out).run(config.name)
    for other in runs_beside(request, config):
        if settled_as(request, config, other) == config:
            for source in (other.path / "weights", other.checkpoints):
                durable.remove_folder(here.path / source.name)
                with durable.new_folder(here.path / source.name) as copy:
                    shutil.copytree(source, copy, dirs_exist_ok=True)
                    durable.sync_tree(copy)
            print(f"{config.name}: trained as {other.name}, so it takes that model", file=sys.stderr)
            return


def runs_beside(request: RunRequest, draft: RunConfig) -> list[RunFolder]:
    """Finished runs of the same contestant and seed in the same results folder, whose models are still there."""
    others = ResultsFolder(request.out).begun_runs(run_name(draft.contestant, "*", draft.seed))
    return [run for run in others if run.name != draft.name and run.finished.exists() and run.finished_weights()]


def settled_as(request: RunRequest, draft: RunConfig, other: RunFolder) -> RunConfig | None:
    """The draft with what was settled for another run; None if that one is trained otherwise, or by other code."""
    try:
        begun = read_begun(other)
    except BadInput:  # a run that cannot go on has nothing to give
        return None
    theirs = RunConfig.from_dict({name: value for name, value in begun.items() if name != "code"})
    config = replace(draft, **{name: getattr(theirs, name) for name in OF_THE_MACHINE})
    recipe = replace(theirs.recipe, **{name: getattr(config.recipe, name) for name in OF_SAMPLING})
    sizes = replace(theirs.sizes, **{name: getattr(config.sizes, name) for name in OF_SCORING})
    is_alike = config == replace(theirs, recipe=recipe, sizes=sizes) and begun["code"] == training_code(
        draft.contestant
    )
    return config if is_alike and request.mixed_precision in (None, config.mixed_precision) else None
