"""What a notebook does: the README's own lines, in small."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

import bench
from bench.data.library import ALONE
from bench.errors import BadInput
from bench.runs.session import in_time
from tests.plug_in import build

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return bench.load_data(images=120, image_size=16, cache=tmp_path_factory.mktemp("cache"))


def test_a_denoiser_is_built_trained_sampled_and_scored(data, tmp_path):
    denoiser = bench.build("scratch", data, scale=1 / 32)
    trained = bench.train(denoiser, data, seconds=2)
    log = trained.trainer.log
    assert log.epochs_done == trained.trainer.config.sizes.epochs
    assert sum(log.seconds_per_epoch) < 20
    assert log.loss_per_epoch[-1] < log.loss_per_epoch[0]
    images = trained.sample(4)
    assert (images.shape, images.dtype) == ((4, 3, 16, 16), torch.uint8)
    assert torch.equal(images, trained.sample(4))
    scores = trained.score(images, classifier_steps=3, cache=tmp_path)
    assert 0 <= scores["attribute accuracy"] <= 1
    assert scores["Fréchet distance"] > 0
    assert 5 < scores["ΔE to the true picture"] < 150
    assert 0 <= scores["all attributes right, exact"] <= 1


def test_any_module_that_keeps_the_contract_can_be_trained(data):
    trained = bench.train(build(data.train.schema.width, 16, 1.0), data, seconds=0.1)
    assert trained.trainer.config.contestant == "Plain"
    with pytest.raises(BadInput, match="no time to train"):
        bench.train(build(data.train.schema.width, 16, 1.0), data, seconds=0)


class Wrong(nn.Linear):
    def forward(self, noisy, timestep, condition):
        return super().forward(condition)


@pytest.mark.parametrize(
    ("denoiser", "why"),
    [
        ("scratch", "str must build a torch.nn.Module, not a str"),
        (nn.Linear(2, 2).requires_grad_(False), "Linear has no parameters to train"),
        (nn.Linear(2, 2), r"Linear has a forward that is called as \(noisy, timestep, condition\), by position"),
        (Wrong(2, 2), "Wrong cannot be called on these data: RuntimeError: mat1 and mat2"),
    ],
)
def test_what_cannot_be_trained_is_said_before_it_is(denoiser, why, data):
    with pytest.raises(BadInput, match=why):
        bench.train(denoiser, data, seconds=1)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"batch_size": 0}, "batch_size=0: give it a whole number from 1"),
        ({"learning_rate": 0.0}, "learning_rate=0.0: give it more than 0"),
        ({"device": "gpu"}, "unknown device 'gpu': try cpu"),
    ],
)
def test_what_training_cannot_be_is_refused(options, why, data):
    with pytest.raises(BadInput, match=why):
        bench.train(build(data.train.schema.width, 16, 1.0), data, seconds=1, **options)


def test_images_that_are_no_pixels_are_not_scored(data):
    """Images in [0, 1] would be scored as if they were nearly black."""
    trained = bench.train(build(data.train.schema.width, 16, 1.0), data, seconds=0.1)
    with pytest.raises(BadInput, match=r"images must be uint8 \(N, 3, 16, 16\), not torch.float32"):
        trained.score(torch.rand(4, 3, 16, 16))
    with pytest.raises(BadInput, match="count=0: give it a whole number from 1"):
        trained.sample(0)
    with pytest.raises(BadInput, match="image_size=0"):
        bench.load_data(image_size=0)


@pytest.mark.parametrize("steps", [0.2, 1, 99, 100, 101, 250])
def test_seconds_become_steps_in_epochs_of_one_length(config, steps):
    sizes = in_time(config.sizes, 1600, steps)
    assert sizes.max_steps <= 100
    assert abs(sizes.epochs * sizes.max_steps - max(1, steps)) <= sizes.epochs / 2


def test_the_table_is_a_frame():
    frame = bench.table(ROOT / "results" / "laptop")
    assert isinstance(frame, pd.DataFrame)
    page = (ROOT / "results" / "laptop" / "table.md").read_text()
    assert f"| attribute accuracy, macro ↑ | {frame.loc['attribute accuracy, macro', 'scratch']:.3f} ± " in page


def test_to_import_it_costs_nothing():
    code = "import sys, bench; sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
    assert set(bench.__all__) == set(bench.HOMES)
    with pytest.raises(AttributeError, match="no attribute 'tabel'"):
        _ = bench.tabel


def test_the_readmes_lines_run(data, monkeypatch):
    code = re.search(r"<!-- python -->\n```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)[1]
    assert len(code.splitlines()) <= 10
    asked = []
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("bench.runs.session.load_data", lambda images: data)
    monkeypatch.setattr("bench.runs.session.train", lambda denoiser, data, seconds: asked.append(seconds) or Shown())
    exec(code, {})
    assert asked == [60]


def test_a_script_needs_no_guard_to_draw_on_all_cores(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(f"import bench\nprint(len(bench.load_data(images={ALONE}).train))\n")
    places = {"PYTHONPATH": str(ROOT), "UNET_BENCH_CACHE": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, script], env=os.environ | places, capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < ALONE


class Shown:
    def sample(self, count):
        return torch.zeros(count, 3, 16, 16)

    def score(self, images):
        return pd.Series({"n": len(images)})
