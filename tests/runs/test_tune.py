"""Tuning: the same trials for everyone, a rate by validation loss alone, and no trial lost."""

import json
from dataclasses import replace
from statistics import fmean

import pytest

from bench.config import Budget
from bench.errors import BadInput
from bench.render.tune import tune_lines, write_tune
from bench.runs import tune as tuning
from bench.runs.tune import best_rate, beyond, train_and_validate, tune
from bench.training.budgets import budget_steps
from tests.invoking import PLUG_IN, bench

NAME = "tests.plug_in:build"


@pytest.fixture
def valleys(monkeypatch):
    """Trainings that end at once, with the loss of a valley around each contestant's own best rate."""

    def lowest_at(best, diverging=()):
        def train(config, parts):
            rate = config.sizes.learning_rate
            if rate in diverging:
                return {"validation_loss": None, "steps": 3}
            return {"validation_loss": abs(rate / best[config.contestant] - 1) + config.seed, "steps": 5}

        monkeypatch.setattr(tuning, "train_and_validate", train)

    return lowest_at


def tried(document, name):
    return [(t["learning_rate"], t["seed"]) for t in document["trials"] if t["contestant"] == name]


def test_where_anyones_best_is_at_an_edge_the_grid_grows_for_everyone(valleys, config, tmp_path):
    valleys({"scratch": 3e-4, "diffusers-32": 3e-3})
    found = tune(["scratch", "diffusers-32"], (3e-4, 1e-3, 3e-3), [0, 1], config, None, tmp_path)
    assert found["best"] == {"scratch": 3e-4, "diffusers-32": 3e-3}
    trials = [(rate, seed) for rate in (1e-4, 3e-4, 1e-3, 3e-3, 1e-2) for seed in (0, 1)]
    assert tried(found, "scratch") == tried(found, "diffusers-32") == trials


def test_a_grid_without_end_is_given_up_and_the_table_says_so(valleys, config, tmp_path):
    valleys({"scratch": 1e-9})
    assert tune(["scratch"], (1e-3, 3e-3, 1e-2), [0], config, None, tmp_path)["best"]["scratch"] == 3e-5
    valleys({"scratch": 1e9})
    found = tune(["scratch"], (3e-4, 1e-3, 3e-3), [0], config, None, tmp_path / "up")
    assert found["best"]["scratch"] == 0.1  # three rates beyond the edge
    assert "Chosen: scratch 0.1 (at an edge of the grid: the best may lie beyond)." in tune_lines(found)
    with pytest.raises(BadInput, match="name at least 3"):
        tune(["scratch"], (3e-4, 1e-3), [0], config, None, tmp_path)


def test_a_rate_at_which_one_seed_diverges_is_not_chosen(valleys, config, tmp_path):
    valleys({"scratch": 1e-3}, diverging=(1e-3,))
    found = tune(["scratch"], (3e-4, 1e-3, 3e-3), [0], config, None, tmp_path)
    assert found["best"]["scratch"] != 1e-3
    assert "| 0.001 | diverged |" in tune_lines(found)
    lost = [{"contestant": "scratch", "learning_rate": 1.0, "validation_loss": None}]
    assert best_rate("scratch", lost) is None
    assert beyond(None, [1.0, 2.0, 3.0]) == []


def test_a_trial_that_is_there_is_not_trained_again_unless_what_decides_it_has_changed(valleys, config, tmp_path):
    valleys({"scratch": 1e-3})
    arguments = (["scratch"], (3e-4, 1e-3, 3e-3), [0])
    first = tune(*arguments, config, None, tmp_path)
    valleys({"scratch": 2e-3})  # what a training would say now
    assert tune(*arguments, config, None, tmp_path)["trials"] == first["trials"]
    more_samples = replace(config, sizes=replace(config.sizes, samples=9))  # none are drawn in a trial
    assert tune(*arguments, more_samples, None, tmp_path)["trials"] == first["trials"]
    smaller = replace(config, sizes=replace(config.sizes, batch_size=8))
    assert tune(*arguments, smaller, None, tmp_path)["trials"] != first["trials"]


def test_a_trial_ends_with_its_schedule_and_is_judged_by_the_validation_part(config, parts):
    """Not by the test part: the same trial beside other test images says the same."""
    budgets = (Budget("images", 64),)
    short = replace(
        config,
        contestant=NAME,
        sizes=replace(config.sizes, budgets=budgets),
        budget_steps=budget_steps(budgets, config.sizes.batch_size, None, None),
    )
    found = train_and_validate(short, parts)
    assert found["steps"] == 64 // config.sizes.batch_size
    assert found["validation_loss"] == fmean(found["by_timestep"])
    assert len(found["by_timestep"]) == 8
    other = train_and_validate(short, replace(parts, test=parts.validation))
    assert other["by_timestep"] == found["by_timestep"]
    hotter = replace(short, sizes=replace(short.sizes, learning_rate=0.1))
    assert train_and_validate(hotter, parts)["by_timestep"] != found["by_timestep"]


def test_the_command_leaves_every_trial_a_table_and_a_plot(cache, tmp_path):
    arguments = ["tune", "--preset=smoke", f"--contestants={NAME}", "--images=16", "--rates=0.001,0.003,0.01"]
    done = bench(*arguments, "--device=cpu", "--cache", cache, "--out", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert json.loads((tmp_path / "tune.json").read_text()) == document
    trials = sorted(path.name for path in (tmp_path / "trials").iterdir())
    assert len(trials) == len(document["trials"]) >= 3
    assert all(name.startswith(PLUG_IN.partition("-")[0]) for name in trials)
    page = (tmp_path / "tune.md").read_text()
    assert page.startswith("Validation loss (mean over eight timesteps) after 1 steps, the learning rate down to zero.")
    assert "![by learning rate](tune.png)" in page
    assert (tmp_path / "tune.png").read_bytes().startswith(b"\x89PNG")
    write_tune(tmp_path, document)  # drawn again, the same
    assert (tmp_path / "tune.md").read_text() == page
