"""What only a GPU can show: the same numbers as on the CPU, no step that waits, memory as predicted, clean errors."""

import json
from dataclasses import replace

import pytest
import torch

from bench import contestants
from bench.config import CONTESTANTS
from bench.cost.check import check_predictions
from bench.duties.candidate import awaken
from bench.errors import RunFailed
from bench.sampling.diffusion import sample
from bench.storage.checkpoint import load_newest
from bench.training.state import restore, to_checkpoint
from bench.training.trainer import Trainer
from tests.invoking import WHOLE, bench_process

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here"),
]
ON_GPU = [option for option in WHOLE if option != "--device=cpu"] + ["--device=cuda"]


@pytest.fixture
def full_precision():
    """Without TF32, for what is held against a CPU."""
    convolutions, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
    torch.set_float32_matmul_precision("highest")
    yield
    torch.backends.cudnn.allow_tf32 = convolutions


@pytest.fixture
def on_gpu(config):
    return replace(config, device="cuda")


def trainer_for(config, train):
    denoiser = contestants.build(config.contestant, train.schema.width, 16, config.sizes.scale)
    trainer = Trainer(denoiser, config, train)
    torch.set_float32_matmul_precision("highest")
    return trainer


@pytest.mark.parametrize("name", CONTESTANTS)
@pytest.mark.usefixtures("full_precision")
def test_a_gpu_predicts_what_a_cpu_does(name, parts):
    denoiser = awaken(contestants.build(name, parts.train.schema.width, 16, 1 / 8)).eval()
    noisy, timestep = torch.randn(4, 3, 16, 16), torch.tensor([0, 7, 150, 299])
    inputs = (noisy, timestep, parts.train.conditions[:4])
    with torch.inference_mode():
        expected = denoiser(*inputs)
        found = denoiser.cuda()(*(each.cuda() for each in inputs)).cpu()
    assert (found - expected).norm() / expected.norm() < 1e-4


@pytest.mark.usefixtures("full_precision")
def test_training_meets_the_same_batches_and_gives_the_losses_of_a_cpu(config, on_gpu, parts):
    met, losses = {}, []
    for where in (config, on_gpu):  # one after the other: accelerate has one device at a time
        trainer = trainer_for(where, parts.train)
        met[where.device] = list(trainer.batches(0, 0))
        trainer.run_epoch(lambda step, loss: None)
        losses.append(torch.stack(trainer.losses).cpu())
    for ours, theirs in zip(met["cpu"], met["cuda"], strict=True):
        assert theirs.noise.is_pinned()
        for field in ("images", "noise", "timestep", "condition"):
            assert torch.equal(getattr(ours, field), getattr(theirs, field))
    assert torch.allclose(*losses, rtol=1e-3)


def test_a_step_does_not_wait_for_the_device(on_gpu, parts):
    trainer = trainer_for(on_gpu, parts.train)
    batch = next(trainer.batches(0, 0))
    for _ in range(3):  # libraries wait where they are set up
        trainer.step(batch.to(trainer.accelerator.device, trainer.memory_format))
    trainer.refuse_if_diverged()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            trainer.step(batch.to(trainer.accelerator.device, trainer.memory_format))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert trainer.unread == 3  # nothing was looked at, either


def test_what_is_not_finite_is_named_by_its_step_though_it_is_looked_at_later(on_gpu, parts):
    trainer = trainer_for(on_gpu, parts.train)
    steps = trainer.steps()
    next(steps), next(steps)
    trainer.log.steps_done = 2
    trainer.parameters[3].register_hook(lambda gradient: gradient * float("inf"))
    next(steps)
    trainer.log.steps_done = 3
    next(steps)
    with pytest.raises(RunFailed, match="diverged at step 3: a gradient is not finite"):
        trainer.refuse_if_diverged()


def test_a_run_is_taken_up_from_a_checkpoint(on_gpu, parts):
    whole = trainer_for(on_gpu, parts.train)
    whole.run_epoch(lambda step, loss: None)
    whole.end_epoch({})
    again = trainer_for(on_gpu, parts.train)
    restore(again, to_checkpoint(whole))
    for trainer in (whole, again):
        trainer.run_epoch(lambda step, loss: None)
    for one, other in zip(whole.parameters, again.parameters, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.usefixtures("full_precision")
def test_samples_start_from_the_latents_of_a_cpu(config, parts):
    denoiser = awaken(contestants.build("scratch", parts.train.schema.width, 16, 1 / 32)).eval()
    recipe, condition = replace(config.recipe, sampling_steps=3), parts.train.conditions[:4]
    expected = sample(denoiser, recipe, condition, 16, 0, range(4), 2.0)
    found = sample(denoiser.cuda(), recipe, condition.cuda(), 16, 0, range(4), 2.0).cpu()
    assert (found - expected).abs().max() < 1e-2


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_predicted_peaks_hold_at_full_size(precision, record_property):
    checked = check_predictions(["scratch", "diffusers-32"], precision, checkpointing=False)
    record_property("checked", json.dumps(checked))
    for check in checked.values():
        assert all(abs(here["prediction_error"]) < 0.05 for here in check)


@pytest.mark.parametrize(("precision", "names"), [("bf16", "scratch,diffusers-32"), ("fp16", "tests.plug_in:build")])
def test_a_whole_run(precision, names, tmp_path):
    options = [*ON_GPU, f"--contestants={names}", f"--mixed-precision={precision}"]
    done = bench_process("run", *options, "--out", tmp_path / "out", "--cache", tmp_path / "cache", "--json")
    assert done.returncode == 0, done.stderr
    for record in json.loads(done.stdout)["records"]:
        assert record["status"] == "done"
        assert record["measurements"]["peak_memory"]["measured_bytes"] > 0
        name = f"{record['config']['contestant'].replace(':', '.')}-matched-seed0"
        assert load_newest(tmp_path / "out" / ".work" / name / "checkpoints").state["log"]["epochs_done"] == 2


def test_fault_38_out_of_memory_on_a_gpu_has_its_row(tmp_path):
    options = [*ON_GPU, "--contestants=tests.plug_in:build_hungry,scratch", "--mixed-precision=no"]
    options += ["--batch-size=64", "--images=100"]
    done = bench_process("run", *options, "--out", tmp_path / "out", "--cache", tmp_path / "cache")
    assert done.returncode == 1
    row = json.loads((tmp_path / "out/records/tests.plug_in.build_hungry-matched-seed0.json").read_text())
    assert row["error"].startswith("out of memory at a peak of ")
    assert "would fit" in row["error"]
    scratch = json.loads((tmp_path / "out/records/scratch-matched-seed0.json").read_text())
    assert scratch["status"] == "done"
