"""`bench doctor`: one screen about this machine, and how long a run takes on it."""

import json
from dataclasses import replace
from importlib.metadata import version
from types import SimpleNamespace

import pytest
import torch

from bench.commands import cli
from bench.commands import doctor as command
from bench.config import MATCHED, PRESETS, SOURCE, Budget
from bench.cost import doctor as examination
from bench.cost import machine
from bench.cost.estimate import estimate, guided_predictions, training_steps
from bench.render.doctor import doctor_lines, duration
from tests.invoking import bench


@pytest.fixture(scope="module")
def document():
    """Of `scratch` and of a user's model that cannot be followed without memory."""
    done = bench("doctor", "--json", "--device", "cpu", "--contestants", "scratch,tests.plug_in:build_curious")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_document_says_what_the_machine_is_and_can_do(document):
    assert document["device"]["instruction_set"] == torch.backends.cpu.get_cpu_capability()
    assert document["device"]["memory_bytes"] > document["device"]["free_memory_bytes"] > 0
    assert document["environment"]["versions"]["torch"] == version("torch")
    assert document["wrong"] == {}
    (peaks,) = document["peaks"]
    assert peaks["attention_flop_per_second"] > 1e8


def test_a_small_step_is_timed_and_its_peak_is_predicted(document):
    (step,) = document["contestants"]["scratch"]["measured"].values()
    assert abs(step["peak_memory"]["prediction_error"]) < 0.1
    assert 0 < step["seconds_per_prediction"] < step["seconds_per_training_step"]
    presets = document["presets"]
    scratch = presets["smoke"]["contestants"]["scratch"]
    assert scratch == estimate(
        PRESETS["smoke"], MATCHED, step["seconds_per_training_step"], step["seconds_per_prediction"]
    )
    assert [presets[name]["extrapolated"] for name in ("smoke", "laptop", "full")] == [False, False, True]
    curious = {name: found["contestants"]["tests.plug_in:build_curious"] for name, found in presets.items()}
    assert curious["smoke"]["total"] > 0
    assert curious["full"] is presets["full"]["seconds"] is None  # nobody knows its arithmetic


def test_it_is_one_screen_and_unknown_is_a_dash(document):
    lines = doctor_lines(document)
    assert len(lines) <= 45
    assert "  TF32: – (only NVIDIA GPUs have it)" in lines
    assert any(line.startswith("  3×3 convolution, channels_last: ") for line in lines)
    (curious,) = [line for line in lines if "build_curious, 32×32" in line]
    assert "; –, " in curious  # predicted, measured
    assert "  full: – (a contestant could not be timed)" in lines
    assert lines[-1] == "this machine computes rightly"


def test_a_convolution_faster_than_the_gemm_is_explained(document):
    (peaks,) = document["peaks"]
    for convolution, said in ((2.0, True), (0.5, False)):
        shown = peaks | {"convolution_flop_per_second": convolution * peaks["gemm_flop_per_second"]}
        assert any("Winograd" in line for line in doctor_lines(document | {"peaks": [shown]})) is said


@pytest.mark.slow
def test_what_is_wrong_ends_with_status_1(monkeypatch, capsys):
    monkeypatch.setattr(machine, "error_of_attention", lambda *_: float("nan"))
    asked = cli.parser().parse_args(["doctor", "--device", "cpu", "--contestants", "tests.plug_in:build"])
    assert command.run(asked) == 1
    shown = capsys.readouterr().out
    assert "fp32: WRONG: attention is off by nan; GEMM × 1.00" in shown
    assert "this machine computes wrongly in fp32" in shown


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a GPU")
def test_no_gpu_is_one_line():
    done = bench("doctor", "--device", "cuda")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "bench: --device cuda is not available here: use --device cpu, or auto\n"


def test_a_model_without_the_published_size_has_dashes_there():
    found = examination.at_full_size("tests.plug_in:build_refusing", "cpu", 128)
    assert set(found.values()) == {None}
    assert "disk" not in {each["what"] for each in examination.missing_here({"free_memory_bytes": 2**40}, {"a": found})}


def test_what_is_missing_comes_with_its_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    contestants = {"a": {"full_peak_bytes": 3 * 2**30, "full_weights_bytes": 2**20}}
    found = {each["what"]: each for each in examination.missing_here({"free_memory_bytes": 2**30}, contestants)}
    assert found["a browser"]["remedy"] == "apt-get install chromium"
    assert "--inception-weights FILE" in found["Inception weights"]["remedy"]
    assert found["memory"]["effect"] == "full needs 3 GiB, 1 GiB are free"
    assert "disk" not in found
    much = {"free_memory_bytes": 2**40}
    assert "memory" not in {each["what"] for each in examination.missing_here(much, contestants)}
    monkeypatch.setattr(examination.shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    assert "disk" in {each["what"] for each in examination.missing_here(much, contestants)}


def test_the_work_of_a_smoke_run_by_hand():
    smoke = PRESETS["smoke"]
    assert training_steps(smoke, 1.0) == 2 * (208 // 16)
    smoke = replace(smoke, full_samples=8)
    half = 0.5  # one prediction is enough at guidance 0 and 1
    main, sweep, full = 16 * 10 * half, 2 * 10 * (half + 5), 8 * 300 * half
    strips = 2 * 16 * 10 * half
    moving = 1 * 10 * (3 + 1)  # at guidance 4, 6 and 8, and denoising
    validation = 3 * 8 * 8 / 2  # after each epoch, and at the end
    assert guided_predictions(smoke, MATCHED, 1.0) == main + sweep + full + strips + moving + validation


def test_the_work_of_branches_by_hand():
    sizes = replace(PRESETS["smoke"], budgets=(Budget("images", 800), Budget("seconds", 25), Budget("pflop", 1.0)))
    assert training_steps(sizes, 1.0) == 50 + 5  # the smaller budget ends in a branch of a fifth of it
    more = guided_predictions(sizes, MATCHED, 1.0) - guided_predictions(
        replace(sizes, budgets=sizes.budgets[:1]), MATCHED, 1.0
    )
    assert more == 4 * 10 / 2 + 8 * 8 / 2


def test_the_blogs_recipe_samples_by_all_steps_and_validates_one_set_of_weights():
    one = replace(PRESETS["smoke"], epochs=1, sampling_steps=None)
    two = replace(one, epochs=2)
    assert guided_predictions(two, SOURCE, 1.0) - guided_predictions(one, SOURCE, 1.0) == 16 * 300 + 8 * 8 / 2


def test_an_estimate_adds_training_and_sampling():
    smoke = PRESETS["smoke"]
    known = estimate(smoke, MATCHED, 0.5, 0.01)
    assert known == {"training": 13.0, "sampling": pytest.approx(4.86), "total": pytest.approx(17.86)}
    unknown = estimate(smoke, MATCHED, 0.48, None)  # 0.03 s an image, of which two thirds are two forward passes
    assert unknown["sampling"] == pytest.approx(486 * 0.02)


def test_a_larger_size_is_extrapolated_by_its_arithmetic():
    seconds = {"seconds_per_training_step": 3.0, "seconds_per_prediction": 1.0}
    small = seconds | {"why": None, "training_flop_per_image": 2.0}
    found = examination.extrapolated(small, 20.0)
    assert (found["seconds_per_training_step"], found["seconds_per_prediction"]) == (30.0, 10.0)
    assert examination.extrapolated(small, None) is None
    assert examination.extrapolated({"why": "out of memory"}, 20.0) is None


def test_durations_have_a_unit_that_fits():
    assert [duration(seconds) for seconds in (90, 600, 7_200, 864_000)] == ["90 s", "10.0 min", "2.0 h", "10.0 days"]
