"""How long an experiment takes on this machine, from a few steps of each arm."""

import sys
from statistics import fmean

from bench.config import recipe_for
from bench.cost.account import Setting
from bench.cost.check import LAYOUTS, config_of
from bench.cost.estimate import estimate
from bench.cost.probe import fastest_step
from bench.cost.steps import trial
from bench.data.library import DataRequest, render
from bench.environment import choose_device
from bench.experiments.experiment import Arm, Experiment


def seconds_of_run(experiment: Experiment) -> float:
    """The mean over the arms, each by a few steps that are timed here."""
    print(f"experiments: a few steps of each arm of {experiment.name}", file=sys.stderr)
    return fmean(seconds_of_arm(experiment, arm) for arm in experiment.arms.values())


def seconds_of_arm(experiment: Experiment, arm: Arm) -> float:
    """Training and sampling of one seed, estimated; data, classifier and scoring come on top."""
    sizes, device = experiment.sizes_of(arm), choose_device("auto")
    avatars = render(DataRequest("avataaars", images=max(20, 2 * sizes.batch_size), image_size=sizes.image_size))
    width = avatars.schema.width
    setting = Setting(width, sizes.image_size, sizes.scale, sizes.batch_size, "no", LAYOUTS[device], device)
    with trial(config_of(arm.contestant_name, setting, avatars), avatars) as trainer:
        step = fastest_step(trainer)
    recipe = sizes.applied_to(recipe_for(arm.recipe_name, arm.contestant_name))
    return estimate(sizes, recipe, step, None)["total"]
