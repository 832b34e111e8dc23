"""Training: it learns, it resumes to the same bytes, and its checkpoints are whole or refused."""

import json
from dataclasses import asdict, replace

import pytest
import torch

from bench import contestants
from bench.checkpoint import MANIFEST, STATE, TENSORS, Checkpoint, load_newest, save_checkpoint, saved
from bench.config import RECIPES, RunConfig, differences, recipe_for
from bench.errors import BadInput, RunFailed
from bench.train import Trainer
from tests.conftest import CONTESTANTS


def trainer_for(config, train):
    denoiser = contestants.build(
        config.contestant, train.schema.width, config.sizes.image_size, config.sizes.scale, config.seed
    )
    return Trainer(denoiser, config, train)


def run(trainer, epochs):
    for _ in range(epochs):
        trainer.run_epoch(lambda step, loss: None)
        trainer.end_epoch({})
    return trainer


def same(a, b):
    assert a.keys() == b.keys()
    return [name for name in a if not torch.equal(a[name], b[name])] == []


def test_the_loss_falls(config, parts):
    longer = replace(config, sizes=replace(config.sizes, epochs=8, learning_rate=3e-3))
    losses = run(trainer_for(longer, parts.train), 8).log.loss_per_epoch
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("name", CONTESTANTS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_resumed_run_ends_with_the_same_bytes(name, recipe, config, parts, tmp_path):
    config = replace(config, contestant=name, recipe=recipe_for(recipe, name))
    whole = run(trainer_for(config, parts.train), 3).to_checkpoint()
    save_checkpoint(tmp_path, 1, 0, run(trainer_for(config, parts.train), 1).to_checkpoint())
    resumed = trainer_for(config, parts.train)
    resumed.restore(load_newest(tmp_path))
    again = run(resumed, 2).to_checkpoint()
    assert same(whole.tensors, again.tensors)
    assert again.state["lr_schedule"] == whole.state["lr_schedule"]
    assert again.state["log"]["loss_per_epoch"] == whole.state["log"]["loss_per_epoch"]
    assert again.state["log"]["resumed_at_epochs"] == [1]


def test_taking_a_checkpoint_changes_nothing(config, parts):
    undisturbed = run(trainer_for(config, parts.train), 2)
    disturbed = run(trainer_for(config, parts.train), 1)
    disturbed.to_checkpoint()
    with disturbed.averaged():
        pass
    assert same(undisturbed.to_checkpoint().tensors, run(disturbed, 1).to_checkpoint().tensors)


def test_averaged_weights_are_swapped_in_and_back(config, parts):
    trainer = run(trainer_for(config, parts.train), 2)
    raw = [p.clone() for p in trainer.parameters]
    with trainer.averaged() as denoiser:
        assert not denoiser.training
        assert not all(torch.equal(a, b) for a, b in zip(raw, denoiser.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(raw, trainer.parameters, strict=True))


def test_a_loss_that_is_not_finite_ends_the_run(config, parts):
    trainer = trainer_for(config, parts.train)
    trainer.parameters[0].data.fill_(float("nan"))
    with pytest.raises(RunFailed, match="diverged at step 1: the loss is not finite"):
        run(trainer, 1)


def test_too_few_images_for_a_batch_are_refused(config, parts):
    with pytest.raises(RunFailed, match="do not fill a batch"):
        trainer_for(config, parts.held_out)


@pytest.fixture
def two_saved(tmp_path):
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, 0, step, Checkpoint({"w": torch.full((4,), float(step))}, {"step": step}))
    return tmp_path


def test_the_two_newest_checkpoints_are_kept(two_saved):
    assert [path.name for path in saved(two_saved)] == ["epoch-00000-step-0000002", "epoch-00000-step-0000003"]
    assert load_newest(two_saved).state == {"step": 3}


@pytest.mark.parametrize("name", [TENSORS, STATE, MANIFEST])
@pytest.mark.parametrize("damage", ["gone", "empty", "half", "flipped"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(name, damage, two_saved, capsys):
    file = saved(two_saved)[-1] / name
    content = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    else:
        content[len(content) // 2] ^= 1
        file.write_bytes({"empty": b"", "half": content[: len(content) // 2], "flipped": content}[damage])
    assert load_newest(two_saved).state == {"step": 2}
    assert "epoch-00000-step-0000003" in capsys.readouterr().err


def test_when_every_checkpoint_is_damaged_only_fresh_helps(two_saved):
    for path in saved(two_saved):
        (path / STATE).write_text("{}")
    with pytest.raises(BadInput, match="--fresh"):
        load_newest(two_saved)


def test_no_checkpoint_is_none(tmp_path):
    assert load_newest(tmp_path / "nothing") is None


def test_a_configuration_survives_json_and_its_changes_are_named(config):
    again = RunConfig.from_dict(json.loads(json.dumps(config.as_dict())))
    assert again == config
    changed = replace(config, seed=1, sizes=replace(config.sizes, learning_rate=0.5))
    assert differences(asdict(config), asdict(changed)) == [
        f"seed: {config.seed} -> 1",
        f"sizes.learning_rate: {config.sizes.learning_rate} -> 0.5",
    ]
