"""`bench tune`: a learning rate for every contestant, by its validation loss alone, with the same trials for all.

A trial is a short training with a finished schedule. All contestants are tried on one grid of rates; where anyone's
best is at an edge of it, the grid grows there for everyone. Each trial is a file of its own, so that a search that was
stopped goes on. A rate that is best in a short training may be too high for a long one: where there are whole runs at
several rates, those decide.
"""

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from bench import contestants
from bench.config import MATCHED, Budget, RunConfig, Sizes
from bench.data.splits import Split
from bench.display import display
from bench.environment import commit, environment, training_code
from bench.errors import BadInput, RunFailed
from bench.record import Record
from bench.runs.trained_alike import EVALUATION
from bench.storage import durable
from bench.training.budgets import budget_steps
from bench.training.trainer import Trainer
from bench.training.validation import validation_losses

SCHEMA_VERSION = 1
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
LARGEST_GROWTH = 35  # times as far as each edge, three rates of 1, 3, 10 …: further out something else is wrong


def tune(
    names: list[str],
    rates: Iterable[float],
    seeds: list[int],
    config: RunConfig,
    parts: Split,
    out: Path,
    records: Iterable[Record] = (),
) -> dict:
    """Every trial of every contestant, its whole runs, and its rate with the lowest validation loss, as a document.

    Whole runs decide alone: then nothing is trained, and the trials that are there are shown beside them.
    """
    grid, runs = sorted(rates), whole_runs(records, names, config)
    if len(grid) < 3:
        raise BadInput(f"--rates {','.join(map(str, grid))} has no rate between two others: name at least 3")
    trials = trials_there(names, out) if runs else all_trials(names, grid, seeds, config, parts, out)
    best = {name: best_rate(name, runs or trials) for name in names}
    return {"schema_version": SCHEMA_VERSION, "trials": trials, "runs": runs, "best": best}


def all_trials(
    names: list[str], grid: list[float], seeds: list[int], config: RunConfig, parts: Split, out: Path
) -> list[dict[str, Any]]:
    """The trials at every rate, with more rates for all where the best one of a contestant is at an edge."""
    fewest, most = grid[0] / LARGEST_GROWTH, grid[-1] * LARGEST_GROWTH
    while True:
        trials = [
            trial_of(replace(config, contestant=name, seed=seed), rate, parts, out)
            for name in names
            for rate in grid
            for seed in seeds
        ]
        best = {name: best_rate(name, trials) for name in names}
        grown = sorted({rate for chosen in best.values() for rate in beyond(chosen, grid) if fewest <= rate <= most})
        if not grown:
            return trials
        print(f"a best rate is at an edge of the grid: {', '.join(f'{r:g}' for r in grown)} for all", file=sys.stderr)
        grid = sorted([*grid, *grown])


def trials_there(names: list[str], out: Path) -> list[dict[str, Any]]:
    """The trials that lie in a folder, of these contestants, by contestant and rate."""
    found = [json.loads(path.read_text()) for path in sorted((out / "trials").glob("*.json"))]
    kept = [trial for trial in found if trial["contestant"] in names]
    return sorted(kept, key=lambda trial: (names.index(trial["contestant"]), trial["learning_rate"], trial["seed"]))


def without_copies(records: list[Record]) -> list[Record]:
    """A record that lies in two folders counts once; runs that failed have measured nothing, and are no copies."""
    return list({(record.run, record.measurements.model_dump_json()): record for record in records}.values())


def whole_runs(records: Iterable[Record], names: list[str], config: RunConfig) -> list[dict[str, Any]]:
    """The validation losses at the end of finished and of diverged runs, of each name with every seed that it has at
    two rates or more.

    BadInput if a name has no such seed, or if runs differ in length.
    """
    if not (records := list(records)):
        return []
    fitting = [record for record in records if is_whole_run(record, names, config)]
    if len({replace(record.run.sizes, learning_rate=0) for record in fitting}) > 1:
        raise BadInput("--runs: the runs differ in their sizes or budgets: name folders of the same kind of run")
    found = {(r.run.contestant, r.run.sizes.learning_rate, r.run.seed): last_loss(r) for r in fitting}
    if len(found) < len(fitting):
        raise BadInput("--runs: a run is there twice, with the same contestant, learning rate and seed: name it once")
    return [run for name in names for run in comparable(name, found)]


def comparable(name: str, found: dict[tuple[str, float, int], dict[str, Any]]) -> list[dict[str, Any]]:
    """A contestant's runs of every seed that it has at two rates or more, and all that diverged."""
    there = sorted(key[1:] for key in found if key[0] == name)
    of_seeds = Counter(seed for _, seed in there)
    diverged = [key for key in there if found[name, *key]["validation_loss"] is None]
    kept = [(rate, seed) for rate, seed in there if of_seeds[seed] > 1 or (rate, seed) in diverged]
    if len({rate for rate, _ in kept}) < 2:
        raise BadInput(f"--runs: {name} has no seed with runs at two learning rates: name folders that have")
    return [{"contestant": name, "learning_rate": rate, "seed": seed} | found[name, rate, seed] for rate, seed in kept]


def is_whole_run(record: Record, names: list[str], config: RunConfig) -> bool:
    """Whether a run has ended, well or by NaN, and is like the trials but for its length, seed and rate."""
    run, diverged = record.run, (record.error or "").startswith("diverged")
    recipe = replace(run.recipe, sampling_steps=config.recipe.sampling_steps)  # nothing is sampled in a trial
    alike = (run.preset, recipe, run.data_hash) == (config.preset, config.recipe, config.data_hash)
    sizes = ("image_size", "scale", "batch_size")
    of_one_size = all(getattr(run.sizes, name) == getattr(config.sizes, name) for name in sizes)
    return run.contestant in names and alike and of_one_size and (record.status == "done" or diverged)


def last_loss(record: Record) -> dict[str, Any]:
    """The mean validation loss at the end of a run's main budget, and after how many steps; none if it diverged."""
    training = record.measurements.training
    if record.status != "done" or training is None:
        return {"validation_loss": None, "steps": training.steps_done if training else 0}
    ends = {point.steps: point.validation for point in training.points}
    steps = training.main_steps or training.steps_done
    losses = ends.get(steps, training.validation[-1])
    return {"validation_loss": fmean(losses.averaged or losses.raw), "steps": steps}


def best_rate(name: str, trials: list[dict[str, Any]]) -> float | None:
    """The one rate that no other one beats; None if there is none, or more than one: these share no seed.

    A rate at which a seed diverged is out. Of two rates that is better which has the lower mean validation loss over
    the seeds that both have been tried with.
    """
    losses: dict[float, dict[int, float]] = {}
    for trial in trials:
        if trial["contestant"] == name:
            loss = trial["validation_loss"]
            losses.setdefault(trial["learning_rate"], {})[trial["seed"]] = float("inf") if loss is None else loss
    fit = {rate: found for rate, found in losses.items() if max(found.values()) < float("inf")}
    unbeaten = [rate for rate, found in fit.items() if not any(beats(other, found) for other in fit.values())]
    alone = len(unbeaten) == 1 or all(fit[rate].keys() & fit[unbeaten[0]].keys() for rate in unbeaten)
    return unbeaten[0] if unbeaten and alone else None


def beats(one: dict[int, float], other: dict[int, float]) -> bool:
    """Whether a rate has lower losses, by seed, than another one; not if they share no seed."""
    shared = one.keys() & other.keys()
    return sum(one[seed] for seed in shared) < sum(other[seed] for seed in shared)


def beyond(best: float | None, grid: list[float]) -> list[float]:
    """The next rate beyond the edge at which the best one is, as 1, 3, 10, 30 …; none if it is at no edge."""
    if best is None or best not in (grid[0], grid[-1]):
        return []
    steps = [float(f"{digit}e{power}") for power in range(-8, 3) for digit in (1, 3)]
    near = 1.01 * best, best / 1.01
    return [s for s in steps if s > near[0]][:1] if best == grid[-1] else [s for s in steps if s < near[1]][-1:]


def trial_of(config: RunConfig, rate: float, parts: Split, out: Path) -> dict[str, Any]:
    """One trial: from its file, or trained now and put there; a trial of another configuration is kept aside."""
    path = out / "trials" / f"{config.contestant.replace(':', '.')}-{rate:g}-seed{config.seed}.json"
    config = replace(config, sizes=replace(config.sizes, learning_rate=rate))
    asked = {
        "contestant": config.contestant,
        "seed": config.seed,
        "learning_rate": rate,
        "config": json.loads(json.dumps(config.as_dict())),
        "code": training_code(config.contestant),
    }
    if path.exists():
        text = path.read_text()
        if of_training(found := json.loads(text)) == of_training(asked):
            return found
        aside = hashlib.sha256(text.encode()).hexdigest()[:12]
        durable.write_text(path.parent / "replaced" / f"{path.stem}-{aside}.json", text)
    made = asked | train_and_validate(config, parts)
    made |= {"environment": environment(config.device, commit())}
    durable.write_text(path, json.dumps(made, indent=1, sort_keys=True) + "\n")
    return made


def of_training(trial: dict[str, Any]) -> dict[str, Any]:
    """What decides a trial: code and configuration, but for the sizes of an evaluation that it does not have."""
    sizes = {name: size for name, size in trial["config"]["sizes"].items() if name not in EVALUATION}
    return trial["config"] | {"sizes": sizes, "code": trial["code"]}


def train_and_validate(config: RunConfig, parts: Split) -> dict[str, Any]:
    """The validation losses of a short training with a finished schedule; none, and why, if it diverged."""
    sizes = config.sizes
    with display(f"{config.contestant} at {sizes.learning_rate:g}") as show:
        denoiser = contestants.build(
            config.contestant, parts.train.schema.width, sizes.image_size, sizes.scale, config.seed
        )
        trainer = Trainer(denoiser, config, parts.train)
        show.phase("training", trainer.ends[-1])
        try:
            trainer.train_to_end(lambda step, loss: show.advance())
        except RunFailed as error:
            return {"validation_loss": None, "why": str(error), "steps": trainer.log.steps_done}
        with trainer.averaged() as model:
            losses = validation_losses(
                model, trainer.noise_schedule, parts.validation, len(parts.validation), torch.device(config.device),
                trainer.memory_format,
            )  # fmt: skip
        show.say(f"validation loss {fmean(losses):.4f} after {trainer.log.steps_done} steps")
    return {"validation_loss": fmean(losses), "by_timestep": losses, "steps": trainer.log.steps_done,
            "seconds": trainer.log.seconds}  # fmt: skip


def config_for(preset: str, sizes: Sizes, images: int, parts: Split, data_hash: str, device: str) -> RunConfig:
    """What all trials share: the preset's sizes, recipe `matched`, and a budget of so many images."""
    budgets = (Budget("images", images),)
    sizes = replace(sizes, budgets=budgets)
    return RunConfig(
        "", 0, preset, MATCHED, sizes, parts.train.source, data_hash, device, "no", "channels_last",
        budget_steps=budget_steps(budgets, sizes.batch_size, None, None),
    )  # fmt: skip
