"""Several processes: the same samples as one, each image once, and none left when one is lost."""

import json
import os
import signal
import subprocess
import sys

import pytest
import torch

from bench import distributed
from bench.errors import BadInput, RunFailed
from bench.runs.job import Job
from bench.runs.launch import note_end
from bench.runs.machines import group_of
from bench.storage.checkpoint import load_newest
from bench.storage.folder import ResultsFolder
from tests.faults.running import LONG, cache, started, training, trains, workers_of  # noqa: F401 - two are fixtures
from tests.invoking import PLUG_IN, ROOT, WHOLE, bench_process


def test_fault_32_processes_that_share_their_seeds_are_noticed(monkeypatch):
    monkeypatch.setattr(distributed, "count", lambda: 2)
    images = torch.arange(4 * 12, dtype=torch.uint8).reshape(4, 3, 2, 2)
    places = torch.tensor([0, 2, 1, 3])
    assert torch.equal(distributed.in_order(images, places), images[[0, 2, 1, 3]])
    with pytest.raises(RunFailed, match="share their seeds"):
        distributed.in_order(images[[0, 2, 0, 2]], torch.tensor([0, 2, 1, 3]))
    collapsed = images[[0, 0, 1, 1]]  # a generator that makes one image, but not the same in both
    assert torch.equal(distributed.in_order(collapsed, places), collapsed[[0, 2, 1, 3]])
    assert torch.equal(distributed.in_order(images[[0, 0, 0, 0]], places), images[[0, 0, 0, 0]])  # in both


@pytest.mark.parametrize("places", [[0, 1, 1, 3], [0, 1, 2, 4]])
def test_fault_33_an_image_missing_or_made_twice_is_noticed(places, monkeypatch):
    monkeypatch.setattr(distributed, "count", lambda: 2)
    with pytest.raises(RunFailed, match="not each once"):
        distributed.in_order(torch.zeros(4, 3, 2, 2, dtype=torch.uint8), torch.tensor(places))


LAUNCHER = ["-m", "accelerate.commands.launch", "--num_processes", "2", "-m", "bench"]


@pytest.mark.slow
def test_fault_33_two_processes_do_the_same_as_one_and_five_samples_are_five(tmp_path, cache):
    """The issue's own command; weights and losses agree to 1e-4, which is far more than rounding has shown."""
    options = ["run", *WHOLE, "--samples=5", "--contestants=tests.plug_in:build", "--mixed-precision=no"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, *LAUNCHER, *options, "--cache", str(cache), "--out", str(tmp_path / "two")]
    silent = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert "on a CPU accelerate starts one process, whatever it is asked: name their number" in silent.stderr
    command.append("--processes=2")
    two = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert two.returncode == 0, two.stderr
    one = bench_process(*options, "--cache", cache, "--out", tmp_path / "one")
    assert one.returncode == 0, one.stderr
    states = [load_newest(tmp_path / name / ".work" / PLUG_IN / "checkpoints") for name in ("one", "two")]
    for name, tensor in states[0].tensors.items():
        torch.testing.assert_close(states[1].tensors[name], tensor, rtol=1e-4, atol=1e-4)
    losses = [torch.tensor(state.state["log"]["loss_per_epoch"]) for state in states]
    torch.testing.assert_close(*losses, rtol=1e-4, atol=0)
    records = [json.loads((tmp_path / name / "records" / f"{PLUG_IN}.json").read_text()) for name in ("one", "two")]
    assert [record["config"]["processes"] for record in records] == [1, 2]
    for record in records:
        assert record["measurements"]["distance"]["efficientnet-lite0"]["generated"] == 5
        assert record["measurements"]["sampling"]["repeated"] == 0


@pytest.mark.parametrize(
    "how",
    [
        pytest.param("killed", marks=pytest.mark.slow),
        pytest.param("raises", marks=pytest.mark.slow),
        pytest.param("hangs", marks=pytest.mark.exhaustive),
    ],
)
def test_fault_39_when_one_process_is_lost_all_end_within_a_minute(how, started, tmp_path):
    poison, name = tmp_path / "poison", "tests.plug_in.build_poisoned-matched-seed0"
    options = ["--checkpoint-seconds", "0.5", "--processes", "2", "--contestants=tests.plug_in:build_poisoned"]
    run = started(*options, environment={"POISON": str(poison)})
    trains(tmp_path / "out")
    group = workers_of(run)
    assert len(group) == 2
    second = max(group, key=lambda process: process.pid)  # it was forked later
    {"killed": second.kill, "hangs": second.suspend, "raises": poison.touch}[how]()
    assert run.wait(60 if how != "hangs" else 90) == 1  # a minute; 45 s of it are patience with one that hangs
    assert not [process for process in group if process.is_running()]
    error = json.loads((tmp_path / "out" / "records" / f"{name}.json").read_text())["error"]
    assert {"killed": "killed by SIGKILL", "hangs": "one hung", "raises": "ValueError: poisoned"}[how] in error
    poison.unlink(missing_ok=True)
    before = training(tmp_path / "out", name)["steps_done"]
    again = started(*options, environment={"POISON": str(poison)})
    trains(tmp_path / "out", steps=4)
    again.send_signal(signal.SIGTERM)
    assert again.wait(60) == 143
    assert training(tmp_path / "out", name)["steps_done"] > before


@pytest.mark.parametrize(
    ("statuses", "why"),
    [
        ([-signal.SIGABRT, -signal.SIGKILL], "killed by SIGKILL"),  # gloo's abort may be seen first: it is no cause
        ([-signal.SIGKILL, -signal.SIGABRT], "killed by SIGKILL"),
        ([distributed.PEER_LOST, -signal.SIGSEGV], "killed by SIGSEGV"),
        ([-signal.SIGABRT, distributed.PEER_LOST], "killed by SIGABRT"),
        ([distributed.PEER_LOST, distributed.PEER_LOST], "one hung"),
    ],
)
def test_a_group_that_died_has_a_row_with_what_killed_it(statuses, why, tmp_path, config):
    job = Job(config.as_dict(), "c", None, str(tmp_path), "", "", "", {}, {}, {})
    note_end(job, statuses)
    assert why in json.loads(ResultsFolder(tmp_path).record(config.name).read_text())["error"]


def test_shares_are_even_and_whole():
    assert not torch.distributed.is_initialized()
    assert list(distributed.share(5)) == [0, 1, 2, 3, 4]
    assert distributed.gathered(torch.zeros(5, 3, 2, 2), 5).shape[0] == 5


@pytest.fixture
def said(monkeypatch):
    """What a launcher says in the environment; nothing of another one is left there."""
    for name in distributed.OF_A_LAUNCHER:
        monkeypatch.delenv(name, raising=False)

    def say(**words):
        for name, value in words.items():
            monkeypatch.setenv(name, value)

    return say


def test_what_a_launcher_says_is_heard_and_forgotten(said):
    assert distributed.launched(None) == distributed.Launch(1)
    said(RANK="1", WORLD_SIZE="2", LOCAL_WORLD_SIZE="2", TORCHELASTIC_RUN_ID="x")
    assert distributed.launched(None) == distributed.Launch(2, first_here=False)
    assert "TORCHELASTIC_RUN_ID" not in os.environ
    said(MASTER_PORT="1", ACCELERATE_USE_CPU="True")
    with pytest.raises(BadInput, match="--processes"):
        distributed.launched(None)


def test_of_several_machines_the_first_process_of_each_meets_the_others(said):
    said(RANK="3", WORLD_SIZE="6", LOCAL_WORLD_SIZE="2", MASTER_ADDR="192.0.2.1")
    launch = distributed.launched(None)
    assert launch == distributed.Launch(6, machines=3, machine=1, first_here=False, address="192.0.2.1")
    assert launch.here == 2
    said(RANK="2", WORLD_SIZE="6", LOCAL_WORLD_SIZE="2", MASTER_ADDR="192.0.2.1", MASTER_PORT="1")
    with pytest.raises(BadInput, match="give it to the launcher, not by --processes"):
        distributed.launched(6)


def test_a_group_knows_its_place(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert distributed.Group.alone(1).environment(0) == {}
    launch = distributed.Launch(6, machines=3, machine=1, address="192.0.2.1")
    second = group_of(launch, 7).environment(1)
    assert {name: second[name] for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")} == {
        "RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "6", "LOCAL_WORLD_SIZE": "2"}  # fmt: skip
    assert (second["MASTER_ADDR"], second["MASTER_PORT"], second["OMP_NUM_THREADS"]) == ("192.0.2.1", "7", "4")


def torchrun(node, port, options):
    """One of two machines, both of which are this one."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", f"--node-rank={node}", "--nproc-per-node=1",
               "--master-addr=127.0.0.1", f"--master-port={port}", "-m", "bench", *options]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def both(options, *more):
    """What two machines say and how they end; `more` are options of the second one."""
    port = distributed.free_port()
    nodes = [torchrun(0, port, options), torchrun(1, port, [*options, *more])]
    said = [node.communicate(timeout=600) for node in nodes]
    return [node.returncode for node in nodes], [error for _, error in said]


@pytest.mark.slow
def test_two_machines_do_the_same_as_two_processes_of_one(tmp_path, cache):
    """The record is the same but for times and the name of the device. A rehearsal: no timed probe chooses a layout."""
    options = [
        "run",
        *WHOLE,
        "--max-steps=3",
        "--samples=5",
        "--contestants=tests.plug_in:build",
        "--mixed-precision=no",
        "--cache",
        cache,
    ]
    options = [str(option) for option in options]
    statuses, said = both([*options, "--out", str(tmp_path / "two")])
    assert statuses == [0, 0], said
    one = bench_process(*options, "--processes=2", "--out", tmp_path / "one")
    assert one.returncode == 0, one.stderr
    records = [json.loads((tmp_path / name / "records" / f"{PLUG_IN}.json").read_text()) for name in ("one", "two")]
    assert records[1]["environment"]["device"] == f"2 × {records[0]['environment']['device']}"
    assert records[0]["config"] == records[1]["config"]
    for part in ("paired", "exact", "attributes", "distance", "artefacts", "curve", "guidance"):
        ours, theirs = (without_times(record["measurements"][part]) for record in records)
        assert ours == theirs, part


def without_times(found):
    """A part of a record without what a clock has measured."""
    if isinstance(found, dict):
        return {name: without_times(value) for name, value in found.items() if "second" not in name}
    return [without_times(each) for each in found] if isinstance(found, list) else found


@pytest.mark.slow
def test_machines_that_share_no_folder_are_one_line(tmp_path, cache, monkeypatch):
    options = ["run", *WHOLE, "--contestants=tests.plug_in:build", "--mixed-precision=no", "--cache", str(cache)]
    statuses, said = both([*options, "--out", str(tmp_path / "one")], "--out", str(tmp_path / "another"))
    assert all(statuses)
    assert "bench: machine 1: 'another' is not the first machine's" in said[0].replace(f"{tmp_path}/", "")
    assert "is not the first machine's: name a folder by --out that all machines share" in said[1]


def test_every_image_of_a_global_batch_belongs_to_one_process(config, parts, monkeypatch):
    from bench.training.batches import epoch_batches

    whole = next(epoch_batches(parts.train, config, 0))
    monkeypatch.setattr(distributed, "count", lambda: 2)
    halves = []
    for number in range(2):
        monkeypatch.setattr(distributed, "rank", lambda number=number: number)
        halves.append(next(epoch_batches(parts.train, config, 0)))
    for field in ("images", "noise", "timestep", "condition"):
        assert torch.equal(torch.cat([getattr(half, field) for half in halves]), getattr(whole, field))
