"""Training: it learns, it resumes to the same bytes, and its checkpoints are whole or refused."""

import hashlib
import json
import os
import sys
from dataclasses import asdict, replace

import pytest
import torch

from bench import contestants
from bench.config import CONTESTANTS, RECIPES, RunConfig, differences, recipe_for
from bench.environment import changed_between
from bench.errors import BadInput, CannotWrite, RunFailed
from bench.storage.checkpoint import (
    MANIFEST,
    STATE,
    TENSORS,
    Checkpoint,
    load_newest,
    remove_damaged,
    save_checkpoint,
    saved,
)
from bench.training.saving import INTERVAL, LARGEST_SHARE, Saver
from bench.training.state import restore, to_checkpoint
from bench.training.trainer import Trainer
from tests.conftest import SMALL_COPIES


def trainer_for(config, train):
    denoiser = contestants.build(
        config.contestant, train.schema.width, config.sizes.image_size, config.sizes.scale, config.seed
    )
    return Trainer(denoiser, config, train)


def run(trainer, epochs, maintenance=None):
    for _ in range(epochs):
        trainer.run_epoch(lambda step, loss: None, maintenance)
        trainer.end_epoch({})
    return trainer


def same(a, b):
    assert a.keys() == b.keys()
    return [name for name in a if not torch.equal(a[name], b[name])] == []


def test_the_loss_falls(config, parts):
    longer = replace(config, sizes=replace(config.sizes, epochs=8, learning_rate=3e-3))
    losses = run(trainer_for(longer, parts.train), 8).log.loss_per_epoch
    assert losses[-1] < 0.8 * losses[0]


def is_slow(name, recipe):
    """Of each recipe's and each contestant's code path one is fast; the others are left to the slow tests."""
    return name in SMALL_COPIES or (name != "scratch" and recipe != "matched")


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        pytest.param(name, recipe, marks=[pytest.mark.slow] * is_slow(name, recipe))
        for name in CONTESTANTS
        for recipe in RECIPES
    ],
)
def test_a_resumed_run_ends_with_the_same_bytes(name, recipe, config, parts, tmp_path):
    config = replace(config, contestant=name, recipe=recipe_for(recipe, name))
    half = run(trainer_for(config, parts.train), 1)
    save_checkpoint(tmp_path, (0, 1, 0), to_checkpoint(half))
    whole = to_checkpoint(run(half, 1))  # a checkpoint changes nothing: test_fault_11
    resumed = trainer_for(config, parts.train)
    restore(resumed, load_newest(tmp_path))
    again = to_checkpoint(run(resumed, 1))
    assert same(whole.tensors, again.tensors)
    assert again.state["lr_schedule"] == whole.state["lr_schedule"]
    assert again.state["log"]["loss_per_epoch"] == whole.state["log"]["loss_per_epoch"]
    assert again.state["log"]["resumed_at_epochs"] == [1]


class WithDropout(torch.nn.Module):
    """A denoiser that draws random numbers of its own."""

    def __init__(self, denoiser):
        super().__init__()
        self.denoiser, self.dropout = denoiser, torch.nn.Dropout(0.3)

    def forward(self, noisy, timestep, condition):
        return self.denoiser(self.dropout(noisy), timestep, condition)


def test_what_a_contestant_draws_itself_has_no_history(config, parts, tmp_path):
    def trainer():
        plain = contestants.build(
            config.contestant, parts.train.schema.width, config.sizes.image_size, config.sizes.scale
        )
        return Trainer(WithDropout(plain), config, parts.train)

    whole = to_checkpoint(run(trainer(), 2))
    save_checkpoint(tmp_path, (0, 1, 0), to_checkpoint(run(trainer(), 1)))
    torch.rand(100)  # somebody else draws from the same generator
    resumed = trainer()
    restore(resumed, load_newest(tmp_path))
    assert same(whole.tensors, to_checkpoint(run(resumed, 1)).tensors)


@pytest.mark.parametrize("recipe", ["averaging", *(pytest.param(name, marks=pytest.mark.slow) for name in RECIPES)])
def test_fault_11_taking_a_checkpoint_changes_nothing(recipe, config, parts):
    if recipe in RECIPES:
        config = replace(config, recipe=recipe_for(recipe, config.contestant))
    undisturbed = run(trainer_for(config, parts.train), 2)
    disturbed = run(trainer_for(config, parts.train), 1)
    to_checkpoint(disturbed)
    with disturbed.averaged():
        pass
    assert same(to_checkpoint(undisturbed).tensors, to_checkpoint(run(disturbed, 1)).tensors)


def test_fault_11_saving_after_every_step_changes_nothing(config, parts, tmp_path):
    undisturbed, disturbed = run(trainer_for(config, parts.train), 1), trainer_for(config, parts.train)
    saver = Saver(tmp_path, tmp_path, NeverAsked(), 0.0)
    disturbed.run_epoch(lambda step, loss: None, saver)
    disturbed.end_epoch({})
    assert same(to_checkpoint(undisturbed).tensors, to_checkpoint(disturbed).tensors)
    assert undisturbed.log.loss_per_epoch == disturbed.log.loss_per_epoch
    assert disturbed.log.checkpoints == disturbed.log.steps_done == 6
    assert disturbed.log.checkpoint_seconds > 0
    assert disturbed.log.seconds_per_epoch[0] > 0


class NeverAsked:
    asked = False


@pytest.mark.parametrize("stop", range(1, 13))
def test_fault_06_stopped_after_any_step_training_ends_with_the_same_bytes(stop, config, parts, tmp_path, whole):
    """First and last step, mid epoch, the boundary of two, and after the last step of all."""
    stopped = trainer_for(config, parts.train)
    saver = Saver(tmp_path / "checkpoints", tmp_path, NeverAsked(), 0.0)
    saver.due = lambda: stopped.log.steps_done == stop
    saver.save = lambda trainer: (Saver.save(saver, trainer), sys.exit(143))
    with pytest.raises(SystemExit):
        run(stopped, 2, saver)
    resumed = trainer_for(config, parts.train)
    restore(resumed, load_newest(tmp_path / "checkpoints"))
    assert resumed.log.steps_done == stop
    run(resumed, 2 - resumed.log.epochs_done)
    assert same(to_checkpoint(whole).tensors, to_checkpoint(resumed).tensors)
    assert whole.log.loss_per_epoch == resumed.log.loss_per_epoch


@pytest.mark.parametrize("cut", ["store", "copy_to", "restore"])
def test_fault_05_a_signal_while_weights_are_exchanged_saves_the_raw_ones(cut, config, parts, monkeypatch):
    trainer = run(trainer_for(config, parts.train), 1)
    before = to_checkpoint(trainer).tensors
    real = getattr(trainer.ema, cut)

    def interrupted(parameters):
        if cut != "restore":
            real(parameters)
        monkeypatch.setattr(trainer.ema, cut, real)
        sys.exit(143)

    monkeypatch.setattr(trainer.ema, cut, interrupted)
    with pytest.raises(SystemExit), trainer.averaged():
        pass
    assert same(before, to_checkpoint(trainer).tensors)


@pytest.fixture(scope="module")
def whole(config, parts):
    """Two epochs that nothing has disturbed."""
    return run(trainer_for(config, parts.train), 2)


def test_fault_27_a_gradient_that_is_not_finite_reaches_neither_weights_nor_average_nor_disk(config, parts, tmp_path):
    trainer = run(trainer_for(config, parts.train), 1)
    saver = Saver(tmp_path / "checkpoints", tmp_path, NeverAsked(), 0.0)
    saver.save(trainer)
    handle = trainer.parameters[3].register_hook(lambda gradient: gradient * float("inf"))
    before = to_checkpoint(trainer).tensors
    with pytest.raises(RunFailed, match="diverged at step 7: a gradient is not finite"):
        trainer.run_epoch(lambda step, loss: None, saver)
    handle.remove()
    assert same(before, to_checkpoint(trainer).tensors)
    assert len(saved(tmp_path / "checkpoints")) == 1
    again = trainer_for(config, parts.train)
    restore(again, load_newest(tmp_path / "checkpoints"))
    assert same(before, to_checkpoint(again).tensors)


def test_a_buffer_that_is_not_finite_is_no_divergence(config, parts, tmp_path):
    """A causal mask is made of -inf."""
    name = "tests.breaking_plug_in:build_masked"
    denoiser = contestants.build(name, parts.train.schema.width, 16, 1 / 32)
    trainer = Trainer(denoiser, replace(config, contestant=name), parts.train)
    next(trainer.steps())
    Saver(tmp_path / "checkpoints", tmp_path, NeverAsked(), 0.0).save(trainer)
    checkpoint = load_newest(tmp_path / "checkpoints")
    assert checkpoint is not None
    assert torch.equal(checkpoint.tensors["model.mask"], denoiser.mask)


def test_fault_28_an_average_that_is_not_finite_is_neither_saved_nor_used(config, parts, tmp_path):
    trainer = run(trainer_for(config, parts.train), 1)
    saver = Saver(tmp_path / "checkpoints", tmp_path, NeverAsked(), 0.0)
    saver.save(trainer)
    average = trainer.ema.shadow_params[2]
    average[(0,) * average.dim()] = float("inf")
    with pytest.raises(RunFailed, match=r"diverged at step 6: the average"), trainer.averaged():
        pass
    trainer.run_epoch(lambda step, loss: None)
    with pytest.raises(RunFailed, match=r"diverged at step 12: ema\.2 is not finite"):
        saver.save(trainer)
    assert load_newest(tmp_path / "checkpoints").state["log"]["steps_done"] == 6


WRONG = {
    "extra": (lambda t: t | {"model.more": torch.zeros(1)}, "model.more is one too many"),
    "missing": (lambda t: {k: v for k, v in t.items() if k != "ema.0"}, "ema.0 is missing"),
    "shape": (lambda t: t | {"ema.0": torch.zeros(1, 2)}, r"ema.0 is \(1, 2\) torch.float32, not"),
    "kind": (lambda t: t | {"ema.0": t["ema.0"].half()}, "torch.float16, not"),
    "two": (
        lambda t: {k: v for k, v in t.items() if k not in ("ema.0", "ema.1")},
        "ema.0 is missing; ema.1 is missing",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_fault_21_a_checkpoint_of_another_model_is_refused_tensor_by_tensor(kind, config, parts):
    change, message = WRONG[kind]
    checkpoint = to_checkpoint(run(trainer_for(config, parts.train), 1))
    with pytest.raises(BadInput, match=message):
        restore(trainer_for(config, parts.train), Checkpoint(change(checkpoint.tensors), checkpoint.state))


def test_averaged_weights_are_swapped_in_and_back(config, parts):
    trainer = run(trainer_for(config, parts.train), 2)
    raw = [p.clone() for p in trainer.parameters]
    with trainer.averaged() as denoiser:
        assert not denoiser.training
        assert not all(torch.equal(a, b) for a, b in zip(raw, denoiser.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(raw, trainer.parameters, strict=True))


def test_fault_27_a_loss_that_is_not_finite_ends_the_run(config, parts):
    trainer = trainer_for(config, parts.train)
    trainer.parameters[0].data.fill_(float("nan"))
    with pytest.raises(RunFailed, match="diverged at step 1: the loss is not finite"):
        run(trainer, 1)


def test_too_few_images_for_a_batch_are_refused(config, parts):
    with pytest.raises(RunFailed, match="do not fill a batch"):
        trainer_for(config, parts.validation)


@pytest.fixture
def two_saved(tmp_path):
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, (0, 0, step), Checkpoint({"w": torch.full((4,), float(step))}, {"step": step}))
    return tmp_path


def test_the_two_newest_checkpoints_are_kept(two_saved):
    assert [path.name for path in saved(two_saved)] == [
        "leg-000-epoch-00000-step-0000002",
        "leg-000-epoch-00000-step-0000003",
    ]
    assert load_newest(two_saved).state == {"step": 3}


def test_fault_12_a_checkpoint_without_manifest_is_passed_over_and_then_replaced(two_saved, capsys):
    newest = saved(two_saved)[-1]
    (newest / MANIFEST).unlink()
    assert load_newest(two_saved).state == {"step": 2}
    assert capsys.readouterr().err.count("\n") == 1
    remove_damaged(two_saved)
    save_checkpoint(two_saved, (0, 0, 3), Checkpoint({"w": torch.full((4,), 3.0)}, {"step": 3}))
    assert [path.name[-1] for path in saved(two_saved)] == ["2", "3"]
    assert load_newest(two_saved).state == {"step": 3}


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        (lambda m: m | {"schema_version": 2}, "schema_version 2, this code reads 1: use the code"),
        (lambda m: m | {"schema_version": None}, "schema_version None"),
        (lambda m: m | {"files": {n: f | {"bytes": 7} for n, f in m["files"].items()}}, "every checkpoint .* damaged"),
        (lambda m: {"schema_version": 1}, "every checkpoint .* damaged"),
        (lambda m: [], "every checkpoint .* damaged"),
    ],
)
def test_fault_15_a_manifest_that_lies_is_refused(lie, message, two_saved):
    for path in saved(two_saved):
        (path / MANIFEST).write_text(json.dumps(lie(json.loads((path / MANIFEST).read_text()))))
    with pytest.raises(BadInput, match=message):
        load_newest(two_saved)


def test_fault_16_a_pickle_planted_as_a_checkpoint_is_never_run(two_saved):
    import pickle

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(two_saved / "canary"),)

    for path in saved(two_saved):
        planted = pickle.dumps(Bomb())
        (path / TENSORS).write_bytes(planted)
        manifest = json.loads((path / MANIFEST).read_text())
        manifest["files"][TENSORS] = {"bytes": len(planted), "sha256": hashlib.sha256(planted).hexdigest()}
        (path / MANIFEST).write_text(json.dumps(manifest))  # whoever plants the one can plant the other
    with pytest.raises(BadInput, match="--fresh"):
        load_newest(two_saved)
    assert not (two_saved / "canary").exists()


@pytest.mark.parametrize("name", [TENSORS, STATE, MANIFEST])
@pytest.mark.parametrize("damage", ["gone", "empty", "half", "flipped"])
def test_fault_13_a_damaged_checkpoint_is_named_and_the_one_before_it_used(name, damage, two_saved, capsys):
    file = saved(two_saved)[-1] / name
    content = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    else:
        content[len(content) // 2] ^= 1
        file.write_bytes({"empty": b"", "half": content[: len(content) // 2], "flipped": content}[damage])
    assert load_newest(two_saved).state == {"step": 2}
    assert "leg-000-epoch-00000-step-0000003" in capsys.readouterr().err


def test_fault_14_when_every_checkpoint_is_damaged_only_fresh_helps(two_saved):
    for path in saved(two_saved):
        (path / STATE).write_text("{}")
    with pytest.raises(BadInput, match="--fresh"):
        load_newest(two_saved)


def test_no_checkpoint_is_none(tmp_path):
    assert load_newest(tmp_path / "nothing") is None


def test_fault_36_a_run_whose_folder_was_removed_says_so_and_makes_no_other(config, parts, tmp_path):
    saver = Saver(tmp_path / "gone" / "checkpoints", tmp_path / "gone" / "job.json", NeverAsked(), 0.0)
    with pytest.raises(CannotWrite, match="folder was removed while it ran"):
        saver.save(trainer_for(config, parts.train))
    assert not (tmp_path / "gone").exists()


def test_fault_10_a_resume_elsewhere_is_allowed_and_marked():
    here = {"step": 0, "commit": "a", "device": "CPU", "instruction_set": "AVX2", "threads": 2, "torch": "2.11"}
    assert changed_between([here, here | {"step": 5, "commit": "b"}]) == []
    assert changed_between([here, here | {"torch": "2.15", "device": "H200"}]) == [
        "device: CPU -> H200", "torch: 2.11 -> 2.15",
    ]  # fmt: skip
    assert changed_between([here, here | {"instruction_set": "AVX512"}]) == ["instruction_set: AVX2 -> AVX512"]


def test_the_interval_grows_where_saving_is_slow(tmp_path):
    saver = Saver(tmp_path, tmp_path, NeverAsked())
    assert not saver.due()
    saver.last -= INTERVAL
    assert saver.due()
    saver.seconds = 0.02 * INTERVAL * LARGEST_SHARE * 100
    assert not saver.due()
    saver.stopping = type("", (), {"asked": True})
    assert saver.due()


def test_a_configuration_survives_json_and_its_changes_are_named(config):
    again = RunConfig.from_dict(json.loads(json.dumps(config.as_dict())))
    assert again == config
    changed = replace(config, seed=1, sizes=replace(config.sizes, learning_rate=0.5))
    assert differences(asdict(config), asdict(changed)) == [
        f"seed: {config.seed} -> 1",
        f"sizes.learning_rate: {config.sizes.learning_rate} -> 0.5",
    ]
