"""Experiments on a cluster: two Ray workers on this machine, of which one is killed at its work."""

import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from bench.errors import BadInput
from bench.experiments.cluster import Order, Place, cluster, named_here
from bench.storage.folder import ResultsFolder
from tests.experiments.test_experiments import TWO_ARMS, arms_of
from tests.invoking import bench_process, timeless

TWO = (
    TWO_ARMS.replace("seeds = [0, 1]", "seeds = [0]")
    .replace('"tests.plug_in:build"', '"tests.plug_in:build_slow"')
    .replace("epochs = 1", "epochs = 1\nmax_steps = 3")  # no probe then chooses how to compute
)


def test_without_ray_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BadInput, match=r"needs Ray: pip install -e '.\[ray\]'"), cluster(Place()):
        pass


def test_a_node_that_has_the_experiment_takes_its_own_and_any_other_gets_the_text(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    text = (Path(__file__).parents[2] / "bench" / "experiments" / "heads.toml").read_text()
    assert named_here(Order("heads", text, "1/24", (), 1, "me")) == "heads"
    other = Order("heads", text + "# changed", "1/24", (), 1, "me")
    other.folder.mkdir(parents=True)
    assert Path(named_here(other)).read_text() == text + "# changed"
    assert other.folder != Order("heads", other.text, "1/24", (), 1, "you").folder
    assert other.folder != Order("heads", text, "2/24", (), 1, "me").folder


@pytest.fixture
def node(monkeypatch):
    """Where nodes of this machine work; a short path, as the names of Ray's sockets may not be long."""
    with tempfile.TemporaryDirectory(prefix="n", dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


@pytest.mark.slow
def test_two_workers_of_which_one_is_killed_leave_the_records_of_one_process(tmp_path, cache, monkeypatch, node):
    """Only times differ: the run of the killed worker is done again, from what it had saved."""
    path = tmp_path / "mine.toml"
    path.write_text(TWO)
    words = ["run", "--experiment", path, "--cache", cache, "--device=cpu", "--mixed-precision=no"]
    assert bench_process(*words, "--out", tmp_path / "one").returncode == 0
    monkeypatch.setenv("SLOW_SECONDS", "0.2")
    with ThreadPoolExecutor(1) as beside:
        killed = beside.submit(kill_a_worker, node)
        done = bench_process(*words, "--out", tmp_path / "two", "--engine=ray")
        assert killed.result() > 0
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("with status 0") == 2
    assert records(tmp_path / "two") == records(tmp_path / "one")
    assert values(tmp_path / "two") == values(tmp_path / "one")
    assert not list(node.glob("unet-by-hand/*/out/.work/*/checkpoints"))  # nothing heavy is left on a node


def records(out):
    """What was measured, but for times, by the run's name."""
    return {
        path.name: timeless(json.loads(path.read_text())["measurements"]) for path in ResultsFolder(out).record_files()
    }


def values(out):
    return {name: (arm["done"], arm["values"], arm["effects"]) for name, arm in arms_of(out).items()}


def kill_a_worker(node):
    """Kill the Ray worker of a run that has begun to train; its process, or 0 if none was found in time."""
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline:
        time.sleep(0.2)
        if list(node.glob("unet-by-hand/*/out/.work/*/config.json")):
            for process in psutil.process_iter(["cmdline"]):
                if "ray::do" in " ".join(process.info["cmdline"] or []):
                    process.kill()
                    return process.pid
    return 0
