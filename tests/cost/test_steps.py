"""Time by the parts of a step, and that training knows nothing of it."""

from types import SimpleNamespace

import pytest
import torch

from bench import contestants
from bench.cost.steps import WARM_UP, Laps, time_steps, trial
from bench.cost.terms import PARTS
from bench.training.trainer import Trainer


def test_laps_add_up_to_the_time_between_them(monkeypatch):
    seconds = iter([100.0, 102.0, 103.0, 107.0, 107.5])
    monkeypatch.setattr("bench.cost.steps.time", SimpleNamespace(perf_counter=lambda: next(seconds)))
    laps = Laps(torch.device("cpu"))
    laps("data")
    laps("forward")
    laps("data")
    laps.end_step()
    assert laps.steps == [{"data": 2.0 + 4.0, "forward": 1.0, "else": 0.5}]


def test_a_steps_parts_sum_to_it_and_the_warm_up_is_left_out(config, parts):
    taken = []
    with trial(config, parts.train) as trainer:
        step = trainer.step
        trainer.step = lambda batch, lap: taken.append(1) or step(batch, lap)
        seconds = time_steps(trainer)
    assert len(taken) == WARM_UP + len(seconds["total"])
    steps = len(seconds["total"])
    assert 5 <= steps <= 20
    assert set(seconds) == {"total", *PARTS}
    for index in range(steps):
        assert seconds["total"][index] == pytest.approx(sum(seconds[part][index] for part in PARTS))
        assert all(seconds[part][index] > 0 for part in PARTS)


def test_being_timed_changes_no_weight(config, parts):
    def trained(lap):
        denoiser = contestants.build("scratch", parts.train.schema.width, 16, config.sizes.scale)
        trainer = Trainer(denoiser, config, parts.train)
        losses = [loss.item() for loss in (trainer.steps() if lap is None else trainer.steps(lap))]
        return losses, [p.detach().clone() for p in trainer.parameters]

    losses, weights = trained(None)
    timed_losses, timed_weights = trained(Laps(torch.device("cpu")))
    assert losses == timed_losses
    assert all(torch.equal(a, b) for a, b in zip(weights, timed_weights, strict=True))


def test_a_trial_leaves_nothing_behind(config, parts):
    with trial(config, parts.train) as trainer:
        assert trainer.parameters
    assert not vars(trainer)
