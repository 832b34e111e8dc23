"""Tuning: the same trials for everyone, a rate by validation loss alone, and no trial lost."""

import json
from dataclasses import replace
from statistics import fmean
from types import SimpleNamespace

import pytest

from bench.config import PRESETS, Budget
from bench.errors import BadInput
from bench.record.cost import ValidationLosses
from bench.render.tune import tune_lines, write_tune
from bench.runs import tune as tuning
from bench.runs.tune import RATES, best_rate, beyond, config_for, train_and_validate, tune, whole_runs, without_copies
from bench.storage.records import read_record, read_records
from bench.training.budgets import budget_steps
from tests.invoking import PLUG_IN, ROOT, bench

RECORD = ROOT / "results" / "laptop" / "records" / "scratch-matched-seed0.json"
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
    assert "Chosen: scratch 0.1 (at an edge of its rates: the best may lie beyond)." in tune_lines(found)
    with pytest.raises(BadInput, match="name at least 3"):
        tune(["scratch"], (3e-4, 1e-3), [0], config, None, tmp_path)


def test_a_rate_at_which_one_seed_diverges_is_not_chosen(valleys, config, tmp_path):
    valleys({"scratch": 1e-3}, diverging=(1e-3,))
    found = tune(["scratch"], (3e-4, 1e-3, 3e-3), [0], config, None, tmp_path)
    assert found["best"]["scratch"] != 1e-3
    assert "| 0.001 | diverged |" in tune_lines(found)
    lost = [{"contestant": "scratch", "learning_rate": 1.0, "seed": 0, "validation_loss": None}]
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
    aside = [json.loads(path.read_text()) for path in (tmp_path / "trials" / "replaced").iterdir()]
    assert {trial["config"]["sizes"]["batch_size"] for trial in aside} == {config.sizes.batch_size}
    assert len(aside) == len(first["trials"])  # none is lost


def whole_run(name, rate, seed, loss, **changed):
    """A committed record, as if its run had had this rate and seed, and this validation loss at its end."""
    record = read_record(RECORD)
    training = record.measurements.training
    end = training.points[0].model_copy(update={"steps": 7, "validation": ValidationLosses(raw=[loss, loss])})
    measured = training.model_copy(update={"points": [end], "main_steps": 7})
    sizes = replace(record.run.sizes, learning_rate=rate)
    update = {
        "run": replace(record.run, contestant=name, seed=seed, sizes=sizes),
        "measurements": record.measurements.model_copy(update={"training": measured}),
    }
    return record.model_copy(update=update | changed)


@pytest.fixture
def like_runs(config):
    """What trials have in common with the committed record."""
    run = read_record(RECORD).run
    return replace(config, preset=run.preset, recipe=run.recipe, data_hash=run.data_hash, sizes=run.sizes)


def test_whole_runs_decide_where_there_are_some(valleys, like_runs, tmp_path):
    names = ["scratch", "diffusers-32"]
    valleys(dict.fromkeys(names, 3e-3))
    losses = {("scratch", 1e-3): 0.6, ("scratch", 3e-3): 0.5, ("diffusers-32", 1e-3): 0.3, ("diffusers-32", 3e-3): 0.4}
    runs = [whole_run(*key, seed, loss + seed / 100) for key, loss in losses.items() for seed in (0, 1)]
    alone = [whole_run(name, 3e-3, 5, 0.0) for name in names]  # a seed at one rate only
    other = [whole_run("scratch", rate, 0, 0.0, run=replace(like_runs, preset="full")) for rate in (1e-3, 3e-3)]
    found = tune(names, RATES, [0], like_runs, None, tmp_path, [*runs, *alone, *other])
    assert found["best"] == {"scratch": 3e-3, "diffusers-32": 1e-3}
    assert tried({"trials": found["runs"]}, "scratch") == [(1e-3, 0), (1e-3, 1), (3e-3, 0), (3e-3, 1)]
    lines = tune_lines(found)
    assert "| 0.003 | **0.5000** | **0.5100** | 0.4000 | 0.4100 |" in lines
    assert found["trials"] == []  # nothing was trained
    assert not [line for line in lines if "short trainings" in line]
    tune(names, RATES, [0], like_runs, None, tmp_path)
    shown = tune(names, RATES, [0], like_runs, None, tmp_path, runs)
    assert tried(shown, "scratch") == [(rate, 0) for rate in RATES]
    assert shown["best"] == found["best"]
    edge = " (at an edge of its rates: the best may lie beyond)"
    assert f"Chosen by the whole runs: scratch 0.003{edge}, diffusers-32 0.001{edge}." in lines
    write_tune(tmp_path, found)
    assert (tmp_path / "tune.png").read_bytes().startswith(b"\x89PNG")


def test_each_contestant_has_whole_runs_around_its_own_best_rate(like_runs):
    """Two of its rates are compared by the seeds that both have, and they need not be another one's rates."""
    runs = [whole_run("scratch", rate, seed, 0.5) for rate in (1e-3, 3e-3, 5e-3) for seed in (0, 1)]
    losses = {5e-4: {1: 0.5}, 1e-3: {0: 0.4, 1: 0.3}, 3e-3: {0: 0.2, 1: 0.9, 7: 0.1}}  # seed 7 has no other rate
    runs += [whole_run("diffusers-32", rate, *each) for rate, found in losses.items() for each in found.items()]
    found = {"trials": whole_runs(runs, ["scratch", "diffusers-32"], like_runs)}
    assert tried(found, "scratch") == [(rate, seed) for rate in (1e-3, 3e-3, 5e-3) for seed in (0, 1)]
    assert tried(found, "diffusers-32") == [(5e-4, 1), (1e-3, 0), (1e-3, 1), (3e-3, 0), (3e-3, 1)]
    assert best_rate("diffusers-32", found["trials"]) == 1e-3
    page = tune_lines({"trials": [], "runs": found["trials"], "best": {"scratch": 3e-3, "diffusers-32": 1e-3}})
    assert "| learning rate | scratch, seed 0 | scratch, seed 1 | diffusers-32, seed 0 | diffusers-32, seed 1 |" in page
    assert "| 0.0005 | – | – | – | 0.5000 |" in page
    assert "| 0.003 | **0.5000** | **0.5000** | 0.2000 | 0.9000 |" in page
    assert page[-1] == "Chosen by the whole runs: scratch 0.003, diffusers-32 0.001."
    with pytest.raises(BadInput, match="diffusers-32 has no seed with runs at two learning rates"):
        whole_runs(runs[:7], ["scratch", "diffusers-32"], like_runs)


def runs_of(losses):
    return [
        {"contestant": "scratch", "learning_rate": rate, "seed": seed, "validation_loss": loss}
        for rate, found in losses.items()
        for seed, loss in found.items()
    ]


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        ({1.0: {0: 0.5}, 2.0: {0: 0.4, 1: None}, 3.0: {1: 0.6}}, None),  # the two that are left share no seed
        ({1.0: {0: 0.5, 1: 0.5}, 2.0: {0: 0.4, 1: None}, 3.0: {1: 0.6}}, 1.0),  # what diverged beats nothing
        ({1.0: {0: 0.5, 1: 0.9}, 2.0: {0: 0.4, 1: 0.6, 2: 0.1}}, 2.0),
        ({1.0: {0: 0.5}, 2.0: {0: 0.5}}, 1.0),
        ({1.0: {0: 0.1, 1: 0.3}, 2.0: {1: 0.2, 2: 0.3}, 3.0: {0: 0.2, 2: 0.2}}, None),  # each is beaten
    ],
)  # fmt: skip
def test_the_best_rate_is_the_one_that_no_other_beats(losses, best):
    assert best_rate("scratch", runs_of(losses)) == best


def test_a_copy_of_a_record_counts_once_and_runs_that_diverged_are_no_copies():
    done = whole_run("scratch", 3e-3, 0, 0.5)
    nothing = {"status": "failed", "error": "diverged", "measurements": type(done.measurements)()}
    lost = [whole_run(*key, 0.5, **nothing) for key in (("scratch", 1e-2, 1), ("diffusers-32", 1e-2, 1))]
    assert without_copies([done, lost[0], done, lost[1]]) == [done, *lost]


def test_committed_runs_are_whole_runs_of_the_preset():
    """Though a preset samples in fewer steps than its recipe says."""
    records = [record for name in ("laptop", "rate-0.001") for record in read_records(ROOT / "results" / name)]
    run = records[0].run
    parts = SimpleNamespace(train=SimpleNamespace(source=run.data))
    config = config_for("laptop", PRESETS["laptop"], 4000, parts, run.data_hash, "cpu")
    found = whole_runs(records, ["scratch", "diffusers-32"], config)
    assert ("diffusers-32", 1e-3, 1) in [(each["contestant"], each["learning_rate"], each["seed"]) for each in found]
    assert {each["learning_rate"] for each in found} == {1e-3, 1.7e-3, 3e-3}


def test_runs_of_another_length_or_named_twice_are_refused(like_runs):
    low, high = (whole_run("scratch", rate, 0, 0.5) for rate in (1e-3, 3e-3))
    shorter = replace(high.run, sizes=replace(high.run.sizes, budgets=high.run.sizes.budgets[1:]))
    with pytest.raises(BadInput, match="differ in their sizes or budgets"):
        whole_runs([low, high.model_copy(update={"run": shorter})], ["scratch"], like_runs)
    with pytest.raises(BadInput, match="is there twice"):
        whole_runs([low, high, high], ["scratch"], like_runs)


def test_a_whole_run_that_diverged_counts_and_one_that_failed_otherwise_does_not(valleys, like_runs, tmp_path):
    valleys({"scratch": 3e-3})
    low, high = (whole_run("scratch", rate, 0, loss) for rate, loss in ((1e-3, 0.5), (3e-3, 0.4)))
    arguments = ["scratch"], (1e-3, 3e-3, 1e-2), [0], like_runs, None, tmp_path
    diverged = high.model_copy(update={"status": "failed", "error": "diverged at step 5: loss is not finite"})
    assert tune(*arguments, [low, diverged])["best"] == {"scratch": 1e-3}
    failed = high.model_copy(update={"status": "failed", "error": "out of memory"})
    with pytest.raises(BadInput, match="no seed with runs at two learning rates"):
        tune(*arguments, [low, failed])


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


@pytest.mark.slow
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
    assert page.startswith(
        "Validation loss (mean over eight timesteps) of short trainings: 1 steps, the learning rate down to"
    )
    assert "![by learning rate](tune.png)" in page
    assert (tmp_path / "tune.png").read_bytes().startswith(b"\x89PNG")
    write_tune(tmp_path, document)  # drawn again, the same
    assert (tmp_path / "tune.md").read_text() == page
