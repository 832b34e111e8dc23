"""Trackers: told the truth at the right steps, whatever happens to the run, and nothing depends on them."""

import contextlib
import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker, TensorBoardTracker
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bench.display import display
from bench.errors import BadInput
from bench.runs.job import Job
from bench.runs.neighbours import Neighbours
from bench.runs.runner import forget
from bench.runs.train import Run
from bench.runs.train import train as train_to_the_end
from bench.storage.folder import ResultsFolder
from bench.training import tracking
from bench.training.tracking import check_trackers
from tests.invoking import PLUG_IN, TINY, bench, measured, timeless


def events(folder):
    found = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0})
    return found.Reload()


def scalars(folder):
    """name -> [(step, value)], as TensorBoard would show them."""
    found = events(folder)
    return {name: [(event.step, event.value) for event in found.Scalars(name)] for name in found.Tags()["scalars"]}


@pytest.fixture(scope="module")
def told(tmp_path_factory, cache):
    """The same small run twice, of which one tells TensorBoard."""
    out, without = (tmp_path_factory.mktemp(name) for name in ("out", "without"))
    arguments = ["run", *TINY, "--contestants=tests.plug_in:build", "--mixed-precision=no", "--cache", cache]
    done = bench(*arguments, "--out", out, "--report-to", "tensorboard")
    assert done.returncode == 0, done.stderr
    (without / ".work").mkdir()
    probe = (out / ".work" / "probe.json").read_text()
    (without / ".work" / "probe.json").write_text(probe)  # the same memory layout, whatever the clock says now
    plain = bench(*arguments, "--out", without)
    assert plain.returncode == 0, plain.stderr
    return out, without


@pytest.mark.slow
def test_a_real_run_tells_tensorboard_its_losses_speed_and_samples(told):
    out, _ = told
    folder = out / ".work" / "logs" / PLUG_IN
    found, record = scalars(folder), measured(out)["training"]
    assert found.keys() == {
        "step/loss", "step/images_per_second", "step/learning_rate",
        "epoch/loss", "epoch/seconds", "epoch/images_per_second", "validation/raw",
    }  # fmt: skip
    assert all(math.isfinite(value) and value >= 0 for points in found.values() for _, value in points)
    assert [step for step, _ in found["step/loss"]] == [1, 4]  # of two epochs of three steps
    assert [step for step, _ in found["epoch/loss"]] == [3, 6]
    assert [value for _, value in found["epoch/loss"]] == pytest.approx(record["loss_per_epoch"])
    assert [value for _, value in found["epoch/seconds"]] == pytest.approx(record["seconds_per_epoch"])
    assert all(value > 0 for _, value in found["epoch/images_per_second"])
    pictures = events(folder).Images("samples")  # strips of sixteen
    assert [(each.step, each.width, each.height) for each in pictures] == [(3, 16 * 16, 16), (6, 16 * 16, 16)]


@pytest.mark.slow
def test_being_told_of_changes_no_number_no_weight_and_no_command(told):
    out, without = told
    assert timeless(measured(out)) == timeless(measured(without))
    weights, same = (sorted((each / ".work" / PLUG_IN).rglob("*.safetensors")) for each in (out, without))
    tensors = [path for path in weights if "checkpoints" in path.parts]
    assert tensors
    for path in tensors:
        assert path.read_bytes() == (without / path.relative_to(out)).read_bytes()
    assert len(weights) == len(same)
    records = [json.loads((each / "records" / f"{PLUG_IN}.json").read_text()) for each in (out, without)]
    assert records[0]["command"] == records[1]["command"]
    begun = [(each / ".work" / PLUG_IN / "config.json").read_text() for each in (out, without)]
    assert begun[0] == begun[1]  # so neither is refused where the other began
    assert not (without / ".work" / "logs").exists()


def test_an_unknown_tracker_is_refused_with_the_nearest(tmp_path):
    done = bench("run", "--report-to", "tensorbord", "--out", tmp_path, "--cache", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "bench: unknown tracker 'tensorbord': try tensorboard\n"
    with pytest.raises(BadInput, match="unknown tracker 'all'"):
        check_trackers(["all"])


def test_a_tracker_that_is_not_installed_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr(tracking, "get_available_trackers", lambda: ["tensorboard"])
    check_trackers(["tensorboard"])
    with pytest.raises(BadInput) as refused:
        check_trackers(["tensorboard", "wandb", "mlflow"])
    assert str(refused.value) == "--report-to wandb,mlflow is not installed: pip install wandb mlflow"


def wandb_that(mode="online", logs_in=True):
    """Stands in for Weights & Biases, which is not installed, where a run asks it whether it can log in."""

    def login(prompt):
        assert prompt is False  # a run may have no terminal
        if isinstance(logs_in, Exception):
            raise logs_in
        return logs_in

    return SimpleNamespace(setup=lambda: SimpleNamespace(settings=SimpleNamespace(mode=mode)), login=login)


@pytest.mark.parametrize(
    ("logs_in", "why"),
    [(False, "there is no API key"), (ConnectionError("no route\nto it"), "ConnectionError: no route")],
)
def test_a_tracker_that_cannot_log_in_is_refused_before_training(logs_in, why, monkeypatch):
    monkeypatch.setattr(tracking, "get_available_trackers", lambda: ["wandb"])
    monkeypatch.setitem(sys.modules, "wandb", wandb_that(logs_in=logs_in))
    with pytest.raises(BadInput) as refused:
        check_trackers(["wandb"])
    remedy = "run `wandb login`, or set WANDB_MODE=offline"
    assert str(refused.value) == f"--report-to wandb cannot log in ({why}): {remedy}"


@pytest.mark.parametrize("service", [wandb_that(), wandb_that("offline", False), wandb_that("disabled", False)])
def test_a_tracker_that_can_log_in_or_need_not_is_taken(service, monkeypatch):
    monkeypatch.setattr(tracking, "get_available_trackers", lambda: ["wandb"])
    monkeypatch.setitem(sys.modules, "wandb", service)
    check_trackers(["wandb"])
    with pytest.raises(BadInput, match="^--report-to mlflow is not installed"):  # and nothing is said of wandb
        check_trackers(["wandb", "mlflow"])


@pytest.fixture
def job(config, tmp_path):
    sizes = replace(config.sizes, curve_samples=2)
    config = replace(config, contestant="tests.plug_in:build", sizes=sizes)  # three epochs of six steps
    return Job(config.as_dict(), "c", None, str(tmp_path), "", "", "", {}, {}, {}, report_to=["tensorboard"])


class NeverAsked:
    asked = False
    waiting = staticmethod(contextlib.nullcontext)


class Killed(BaseException):
    """What no code of a run takes note of."""


def train(job, parts, save_at=None, die_at=None):
    """Train to the end, from the newest checkpoint; saved once after one step, and dead after another was told."""
    with display("run") as show:
        run = Run(job, parts, NeverAsked(), Neighbours(), show)
        saver, telling, write = run.saver, run.tracking, run.tracking.save
        saver.begun = run.trunk.begun = Path(job.out)
        saver.due = lambda: run.log.steps_done == save_at and saver.saved_at is None

        def write_and_die(trainer):
            write(trainer)
            if trainer.log.steps_done == die_at:
                raise Killed

        telling.save = write_and_die
        train_to_the_end(run)
    run.trainer.accelerator.end_training()
    return run.trainer


def logs_of(job):
    return ResultsFolder(Path(job.out)).logs


def told_of(job):
    return scalars(logs_of(job) / job.run.name)


@pytest.mark.parametrize("saved", [None, 6, 8, 12])  # never, after an epoch's last step and within an epoch
def test_what_is_repeated_after_a_kill_is_told_once(saved, job, parts, tmp_path):
    whole = replace(job, out=str(tmp_path / "whole"))
    Path(whole.out).mkdir()
    train(whole, parts)
    with pytest.raises(Killed):
        train(job, parts, save_at=saved, die_at=13)
    before = told_of(job)
    assert [step for step, _ in before["step/loss"]] == [1, 7, 13]
    trainer = train(job, parts)
    assert trainer.log.starts[-1]["step"] == (saved or 0)
    found, expected = told_of(job), told_of(whole)
    for name in ("step/loss", "step/learning_rate", "epoch/loss", "validation/raw", "validation/averaged"):
        assert found[name] == expected[name]
    assert [step for step, _ in found["epoch/images_per_second"]] == [6, 12, 18]
    assert [each.step for each in events(logs_of(job) / job.run.name).Images("samples")] == [6, 12, 18]
    assert len(list((logs_of(job) / job.run.name).iterdir())) == 2  # files, one for each start


def test_a_tracker_that_fails_is_said_once_and_survived(job, parts, monkeypatch, capsys):
    calls = []

    def full(self, values, step=None, **options):
        calls.append(step)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(TensorBoardTracker, "log", full)
    log = train(job, parts).log
    assert calls == [1]
    assert (log.epochs_done, len(log.loss_per_epoch), len(log.validation)) == (3, 3, 3)
    said = capsys.readouterr().err
    assert said.count("failed") == 1
    words = "run tensorboard failed (OSError: [Errno 28] No space left on device): going on without it"
    assert words in said.replace("\n", "")  # it may not fit in a line


def test_a_tracker_that_cannot_begin_is_survived(job, parts, capsys):
    logs_of(job).parent.mkdir()
    logs_of(job).write_text("a file where the folder should be")
    assert train(job, parts).log.epochs_done == 3
    assert capsys.readouterr().err.count("tensorboard failed (") == 1


class Service(GeneralTracker):
    """Stands in for a tracker that keeps no files, and breaks down when it has been told twice."""

    name, requires_logging_directory, made = "wandb", False, []

    def __init__(self, project, **options):
        super().__init__()
        self.project, self.options, self.told = project, options, []
        self.made.append(self)

    @property
    def tracker(self):
        return self

    def log(self, values, step=None):
        self.told.append((step, sorted(values)))
        if len(self.told) == 2:
            raise ConnectionError


def test_one_tracker_that_fails_does_not_take_the_other_along(job, parts, monkeypatch, capsys):
    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "wandb", Service)
    job = replace(job, report_to=["wandb", "tensorboard"])
    train(job, parts)
    (service,) = Service.made
    assert (service.project, service.options) == ("unet-by-hand", {"name": job.run.name})
    assert [step for step, _ in service.told] == [1, 6]  # it takes no pictures, and is given none
    assert "run wandb failed (ConnectionError): going on without it\n" in capsys.readouterr().err
    assert [step for step, _ in told_of(job)["epoch/loss"]] == [6, 12, 18]


def test_writing_to_a_tracker_is_outside_of_an_epochs_seconds(job, parts, monkeypatch):
    """On a clock that a look at it moves on by a millisecond, and a tracker by a thousand seconds."""
    now = [0.0]

    def spend(seconds):
        now[0] += seconds
        return now[0]

    monkeypatch.setattr("bench.training.trainer.time", SimpleNamespace(perf_counter=lambda: spend(1e-3)))
    monkeypatch.setattr(TensorBoardTracker, "log", lambda *_, **__: spend(1000.0))
    log = train(job, parts).log
    assert now[0] > 6 * 1000
    assert max(log.seconds_per_epoch) < 1


def test_starting_over_forgets_what_was_told(job, tmp_path):
    request = SimpleNamespace(out=tmp_path, contestants=["tests.plug_in:build"], recipe="matched", seeds=[0])
    ours, others = logs_of(job) / job.run.name, logs_of(job) / "another"
    for folder in (ours, others):
        folder.mkdir(parents=True)
    forget(request)
    assert (ours.exists(), others.exists()) == (False, True)
