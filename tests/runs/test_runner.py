"""Whole runs of tiny models in this process: nothing is lost by a refusal, and nobody is taken along by another."""

import json
import os
import shutil
import time

import psutil
import pytest

from bench.runs import launch, warm
from bench.storage.folder import ResultsFolder
from bench.storage.records import read_record
from tests.invoking import TINY, bench

PLAIN, PICKY = "tests.plug_in:build", "tests.hostile_plug_in:build_for_an_odd_width"
RUN = ["run", *TINY, "--mixed-precision=no", "--sampling-steps=2", "--epochs=1"]


@pytest.fixture
def run(cache):
    """Run a command in this process, with the cache of all tests."""
    return lambda out, *more: bench(*RUN, "--out", out, "--cache", cache, *more)


def record(out, name):
    return json.loads(ResultsFolder(out).record(f"{name.replace(':', '.')}-matched-seed0").read_text())


def test_what_fresh_would_forget_is_kept_where_the_command_is_refused(run, tmp_path, monkeypatch):
    assert run(tmp_path, f"--contestants={PLAIN}").returncode == 0
    results = ResultsFolder(tmp_path).run("tests.plug_in.build-matched-seed0")
    kept = sorted(path for path in results.path.rglob("*") if path.is_file())
    monkeypatch.setattr("bench.runs.request.free_memory", lambda device: 2**20)
    refused = run(tmp_path, f"--contestants={PLAIN}", "--fresh")
    assert refused.returncode == 2
    assert "of memory for a training step" in refused.stderr
    assert sorted(path for path in results.path.rglob("*") if path.is_file()) == kept


def test_a_plug_in_that_cannot_be_built_for_the_data_gets_its_row_and_the_others_go_on(run, tmp_path):
    assert run(tmp_path, f"--contestants={PICKY},{PLAIN}").returncode == 1
    assert record(tmp_path, PLAIN)["status"] == "done"
    assert "an even width" in record(tmp_path, PICKY)["error"]
    again = run(tmp_path, f"--contestants={PICKY},{PLAIN}", "--only-missing")
    assert again.returncode == 1  # the kept one hides it not
    assert "tests.hostile_plug_in.build_for_an_odd_width-matched-seed0 failed" in again.stderr


def test_a_rehearsal_does_not_lie_where_the_run_will(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from bench.commands.asked import run_request
    from bench.commands.cli import parser

    asked = [run_request(parser().parse_args(["run", *more])).out.name for more in ([], ["--max-steps=2"])]
    assert asked == ["smoke", "smoke-rehearsal"]


def started(target):
    """A worker that is forked as those of a run are, and does something else."""
    read, write = os.pipe()
    worker = warm.context("cpu").Process(target=target, args=(warm.Inherited(write),))
    with warm.quiet_start():
        worker.start()
    os.close(write)
    return worker, read


def sleep(descriptor):
    os.write(descriptor, b"ready")
    time.sleep(600)


def test_a_worker_does_not_outlive_the_process_that_it_was_forked_from():
    worker, read = started(sleep)
    os.read(read, 5)
    server = psutil.Process(worker.pid).parent()
    server.kill()
    statuses, _ = launch.wait([worker])
    assert statuses == [launch.UNKNOWN]
    launch.clear_away([worker])
    deadline = time.monotonic() + 30
    while psutil.pid_exists(worker.pid) and psutil.Process(worker.pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "it lives on"
        time.sleep(0.05)


def test_workers_that_share_the_cores_have_their_share_of_threads(config, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.runs.worker.main", lambda told: 0)
    set_to = []
    monkeypatch.setattr("torch.set_num_threads", set_to.append)
    monkeypatch.setattr(launch, "run_and_leave", lambda main: main())
    monkeypatch.setattr(warm, "begin_worker", lambda stderr, environment: None)
    launch.work(tmp_path / "job.json", {"OMP_NUM_THREADS": "3"}, 0, 2)
    launch.work(tmp_path / "job.json", {"OMP_NUM_THREADS": "4,2"}, 0, 2)
    assert set_to == [3]


GUIDED = "--recipe=matched+guidance=3.0"
TRAINED, TAKEN = "tests.plug_in.build-matched-seed0", "tests.plug_in.build-matched+guidance=3.0-seed0"
SAYS_SO = f"{TAKEN}: trained as {TRAINED}, so it takes that model"


def weights_of(out, name):
    """The finished models of a run, by file name."""
    return {path.name: path.read_bytes() for path in ResultsFolder(out).run(name).finished_weights()}


def test_a_run_that_only_samples_otherwise_takes_the_trained_models(run, tmp_path):
    budgets = "--budget=images=48,images=32"
    assert run(tmp_path, f"--contestants={PLAIN}", budgets).returncode == 0
    taken = run(tmp_path, f"--contestants={PLAIN}", budgets, GUIDED)
    assert taken.returncode == 0, taken.stderr
    assert SAYS_SO in taken.stderr
    assert ": loss" not in taken.stderr  # no epoch was trained
    assert len(weights_of(tmp_path, TRAINED)) == 2
    assert weights_of(tmp_path, TAKEN) == weights_of(tmp_path, TRAINED)
    first, second = (read_record(ResultsFolder(tmp_path).record(name)) for name in (TRAINED, TAKEN))
    assert (first.measurements.training.taken_from, second.measurements.training.taken_from) == (None, TRAINED)
    assert second.run.recipe.guidance == 3.0
    assert second.measurements.training.points == first.measurements.training.points
    assert second.measurements.paired != first.measurements.paired
    assert f"{TAKEN} took the trained model of {TRAINED}" in (tmp_path / "table.md").read_text()


@pytest.fixture(scope="module")
def trained(tmp_path_factory, cache):
    out = tmp_path_factory.mktemp("trained")
    assert bench(*RUN, "--out", out, "--cache", cache, f"--contestants={PLAIN}").returncode == 0
    return out


def damage_checkpoint(run, monkeypatch):
    (newest,) = run.checkpoints.glob("*")
    (newest / "state.json").write_text("{")


def lose_weights(run, monkeypatch):
    for path in run.finished_weights():
        path.unlink()


def change_code(run, monkeypatch):
    monkeypatch.setattr("bench.runs.trained_alike.training_code", lambda contestant: "another")


def change_device(run, monkeypatch):
    monkeypatch.setattr("bench.runs.trained_alike.device_name", lambda device: "another")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "asked"),
    [
        (damage_checkpoint, [GUIDED]),
        (lose_weights, [GUIDED]),
        (change_code, [GUIDED]),
        (change_device, [GUIDED]),
        (None, [GUIDED, "--fresh"]),
        (None, ["--recipe=matched+beta_end=0.02"]),
        (None, [GUIDED, "--learning-rate=0.001"]),
    ],
)
def test_a_run_takes_nothing_that_training_would_not_repeat(trained, run, tmp_path, monkeypatch, change, asked):
    shutil.copytree(trained, tmp_path / "out")
    if change is not None:
        change(ResultsFolder(tmp_path / "out").run(TRAINED), monkeypatch)
    done = run(tmp_path / "out", f"--contestants={PLAIN}", *asked)
    assert done.returncode == 0, done.stderr
    assert "so it takes that model" not in done.stderr
    assert ": loss" in done.stderr
