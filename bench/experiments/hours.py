"""How long an experiment takes on this machine, from a few steps of each arm."""

import sys
from typing import Any

from bench.config import recipe_for
from bench.cost.account import Setting
from bench.cost.check import LAYOUTS, config_of
from bench.cost.estimate import estimate
from bench.cost.probe import fastest_step
from bench.cost.steps import trial
from bench.data.library import DataRequest, render
from bench.environment import choose_device, instruction_set
from bench.experiments.experiment import Arm, Experiment
from bench.runs.trained_alike import trained_as


def times_of_runs(experiment: Experiment) -> dict[str, dict[str, Any]]:
    """The time of a run of each arm, by a few steps that are timed here; arms trained alike are trained once."""
    print(f"experiments: a few steps of each arm of {experiment.name}", file=sys.stderr)
    times, trained, machine = {}, set(), instruction_set(choose_device("auto"))
    for name, arm in experiment.arms.items():
        found = seconds_of_arm(experiment, arm)
        recipe = recipe_for(arm.recipe_name, arm.contestant_name)
        alike = (arm.contestant_name, *trained_as(recipe, experiment.sizes_of(arm)))
        seconds = found["sampling"] if alike in trained else found["total"]
        times[name] = {"seconds": seconds, "measured": False, "on": [machine]}
        trained.add(alike)
    return times


def seconds_of_arm(experiment: Experiment, arm: Arm) -> dict[str, float]:
    """Training and sampling of one seed, estimated; data, classifier and scoring come on top."""
    sizes, device = experiment.sizes_of(arm), choose_device("auto")
    avatars = render(DataRequest("avataaars", images=max(20, 2 * sizes.batch_size), image_size=sizes.image_size))
    width = avatars.schema.width
    setting = Setting(width, sizes.image_size, sizes.scale, sizes.batch_size, "no", LAYOUTS[device], device)
    with trial(config_of(arm.contestant_name, setting, avatars), avatars) as trainer:
        step = fastest_step(trainer)
    recipe = sizes.applied_to(recipe_for(arm.recipe_name, arm.contestant_name))
    return estimate(sizes, recipe, step, None)
