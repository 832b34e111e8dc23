"""The configuration of every run: what was asked, and the memory layout and precision that the probe chooses."""

import math
import sys
from dataclasses import replace

from bench.config import RunConfig, recipe_for, run_name
from bench.cost.account import account, setting_of
from bench.cost.estimate import estimate
from bench.cost.probe import SEPARATOR, Probes, precisions_for, probed_batch, read_probes, settle, write_probes
from bench.data.dataset import AvatarSet
from bench.environment import instruction_set
from bench.errors import BadInput
from bench.record import Record
from bench.render.table.cost_rows import images_per_second
from bench.render.table.row import duration
from bench.runs.begun import as_begun, config_path, finished
from bench.runs.only_missing import kept_records
from bench.runs.request import (
    RunRequest,
    check_memory,
    checkpoint_bytes,
)
from bench.runs.trained_alike import as_trained
from bench.stopping import reserve_time
from bench.storage.folder import ResultsFolder
from bench.storage.records import read_record, work
from bench.training.budgets import budget_steps

TIME_TO_SAVE, SAVED_PER_SECOND = 5.0, 200e6  # seconds, and bytes: set aside of a time limit


def drafts_of(request: RunRequest, avatars: AvatarSet, device: str) -> list[RunConfig]:
    """The configuration of every run, but for the memory layout and precision that the probe chooses."""
    return [
        RunConfig(
            contestant=name,
            seed=seed,
            preset=request.preset,
            recipe=request.sizes.applied_to(recipe_for(request.recipe, name)),
            sizes=request.sizes_for(name),
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


def configure(request: RunRequest, drafts: list[RunConfig], train: AvatarSet) -> list[RunConfig]:
    """The complete configuration of every run that is to be done or is done here; the probe decides the rest of it."""
    kept = kept_records(request, drafts) if request.only_missing else {}
    for draft in kept:
        print(f"{draft.name}: its record is kept", file=sys.stderr)
    drafts = [draft for draft in drafts if draft not in kept]
    if not drafts:
        return []
    begun = [draft for draft in drafts if not request.fresh and config_path(request.out, draft).exists()]
    trained = {draft: config for draft in drafts if draft not in begun and (config := as_trained(request, draft))}
    new = [draft for draft in drafts if draft not in begun and draft not in trained]
    undone = [*new, *trained] + [draft for draft in begun if not finished(request, draft)]
    precisions = precisions_for(drafts[0].device, request.mixed_precision)
    check_memory(undone, train.schema.width, precisions, request.machines)  # the probe trains, too
    if request.fresh:
        forget_probes(request)
    asked = request.mixed_precision or next((record.run.mixed_precision for record in kept.values()), None)
    precision, layouts = layouts_for(request, new, asked, train)
    complete = [
        as_begun(request, draft)
        if draft in begun
        else trained.get(draft) or replace(draft, mixed_precision=precision, memory_format=layouts[draft.contestant])
        for draft in drafts
    ]
    return [config if config.budget_steps else budgeted(request, config, train.schema.width) for config in complete]


def budgeted(request: RunRequest, config: RunConfig, condition_width: int) -> RunConfig:
    """The configuration with the steps of its budgets: those of its other seeds here, or by this machine's speed."""
    budgets = config.sizes.budgets
    if not budgets:
        return config
    folder = ResultsFolder(request.out)
    others = [] if request.fresh else [record.run for record in done_alike(folder, config)]
    if known := [run.budget_steps for run in others if run.sizes == config.sizes and run.budget_steps]:
        return replace(config, budget_steps=known[0])
    step = quiet_step(folder, config) or probed_step(request, config)
    flop = None
    if any(budget.kind == "pflop" for budget in budgets):
        counted = account(config.contestant, setting_of(config, condition_width), config.recipe)["flops_per_image"]
        flop = counted and counted["training"]
    return replace(config, budget_steps=budget_steps(budgets, config.sizes.batch_size, step, flop))


def done_alike(folder: ResultsFolder, config: RunConfig) -> list[Record]:
    """The records of other seeds whose steps are the same work, done by the same instructions."""
    paths = folder.record_files(run_name(config.contestant, config.recipe.name, "*"))
    records = [record for path in paths if (record := read_record(path)).status == "done"]
    here = instruction_set(config.device)
    return [r for r in records if work(r.run) == work(config) and r.environment.instruction_set == here]


def quiet_step(folder: ResultsFolder, config: RunConfig) -> float | None:
    """Seconds of a training step by the quiet runs that the table has its times from; None if there are none."""
    speeds = [images_per_second(record) for record in done_alike(folder.times, config)]
    return next((config.sizes.batch_size / speed for speed in speeds if speed), None)


def forget_probes(request: RunRequest) -> None:
    """Have the contestants asked for probed anew."""
    probes = read_probes(request.out)
    kept = {name: s for name, s in probes.seconds.items() if name.split(SEPARATOR)[0] not in request.contestants}
    write_probes(request.out, Probes(probes.precision if kept else None, kept))


def layouts_for(
    request: RunRequest, new: list[RunConfig], precision: str | None, train: AvatarSet
) -> tuple[str, dict[str, str]]:
    """Precision, and a memory layout for each contestant, of runs that have not begun; a rehearsal is not probed."""
    if not new or request.sizes.max_steps:
        return precision or "no", dict.fromkeys(request.contestants, "channels_last")
    return settle(request.out, precision, new, train)


def probed_step(request: RunRequest, config: RunConfig) -> float | None:
    """Seconds of one of a run's training steps, by the probe, whose batch may be smaller; None if it was not probed."""
    by_layout = read_probes(request.out).of(config).get(config.mixed_precision)
    if by_layout is None or by_layout[config.memory_format] == math.inf:  # or it could not compute so
        return None
    return by_layout[config.memory_format] * config.sizes.batch_size / probed_batch(config)


def say_how_long(request: RunRequest, configs: list[RunConfig]) -> None:
    """About how long training and sampling will take, by the probe, of the runs that begin now; nothing if unknown."""
    begin = [config for config in configs if not config_path(request.out, config).exists()]
    whole, new = 0.0, [config for config in begin if as_trained(request, config) is None]
    for config in new:
        if (step := probed_step(request, config)) is None or request.processes > 1:
            return
        parts = estimate(config.sizes, config.recipe, step, None)
        whole += parts["total"]
        print(
            f"{config.name} will take about {duration(parts['total'])} here: training {duration(parts['training'])}, "
            f"sampling {duration(parts['sampling'])}",
            file=sys.stderr,
        )
    if len(new) > 1:
        print(
            f"all {len(new)} runs: about {duration(whole)}; data, classifier and scoring come on top", file=sys.stderr
        )


def refuse_too_short(request: RunRequest, configs: list[RunConfig], condition_width: int) -> None:
    """BadInput if the time limit leaves no time for a training step; time to end one, and to save, is set aside."""
    step = max((probed_step(request, config) or 0.0 for config in configs), default=0.0)
    largest = max((checkpoint_bytes(config, condition_width) for config in configs), default=0)
    left = reserve_time(step + TIME_TO_SAVE + largest / SAVED_PER_SECOND)
    if left < step:
        raise BadInput(
            f"--time-limit leaves {max(left, 0):.1f} s, and a training step takes {step:.1f} s here: give it more"
        )
