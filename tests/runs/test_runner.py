"""Whole runs of tiny models in this process: nothing is lost by a refusal, and nobody is taken along by another."""

import json
import os
import time

import psutil
import pytest

from bench.runs import launch, warm
from bench.storage.folder import ResultsFolder
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


def found_in(record):
    """What a record says of the model and its samples, in numbers."""
    found = record["measurements"]
    guided = [each["accuracy"] for each in found["guidance"]]
    losses = found["training"]["validation"][0]["raw"]
    return [*found["training"]["loss_per_epoch"], *losses, found["paired"]["colour"]["value"], *guided]


def test_a_run_that_only_samples_otherwise_takes_the_trained_model_and_finds_the_same(run, tmp_path):
    one, two, guided = tmp_path / "one", tmp_path / "two", "--recipe=matched+guidance=3.0"
    assert run(one, f"--contestants={PLAIN}").returncode == 0
    taken, trained = run(one, f"--contestants={PLAIN}", guided), run(two, f"--contestants={PLAIN}", guided)
    name = "tests.plug_in.build-matched+guidance=3.0-seed0"
    assert f"{name}: trained as tests.plug_in.build-matched-seed0, so it takes that model" in taken.stderr
    assert "epoch 1/1: loss" in trained.stderr
    assert "epoch 1/1: loss" not in taken.stderr
    records = [json.loads(ResultsFolder(each).record(name).read_text()) for each in (one, two)]
    assert [each["config"]["recipe"]["guidance"] for each in records] == [3.0, 3.0]
    assert found_in(records[0]) == pytest.approx(found_in(records[1]), rel=1e-3)  # the layouts may be others


def test_a_run_that_is_trained_otherwise_or_measured_afresh_takes_nothing(run, tmp_path):
    assert run(tmp_path, f"--contestants={PLAIN}").returncode == 0
    for more in (["--recipe=matched+beta_end=0.02"], ["--recipe=matched+guidance=3.0", "--fresh"]):
        done = run(tmp_path, f"--contestants={PLAIN}", *more)
        assert done.returncode == 0
        assert "epoch 1/1: loss" in done.stderr
