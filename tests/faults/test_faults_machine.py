"""FAULTS.md, A and E: what a machine, a user or another process does to a run. Real processes, real signals."""

import fcntl
import json
import math
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import psutil
import pytest
import torch

from bench import distributed
from bench.config import Budget
from bench.cost import machine
from bench.cost.account import Setting, account
from bench.errors import BadInput, CannotWrite, RunFailed
from bench.runs import launch, worker
from bench.runs.begun import begin, config_path, refuse_changed
from bench.runs.job import Job
from bench.runs.request import check_memory, check_space, checkpoint_bytes, memory_needed
from bench.sampling.draw import refuse_unless_pixels
from bench.stopping import reserve_time, time_limit
from bench.storage import durable
from bench.storage import lock as locking
from bench.storage.checkpoint import load_newest
from bench.storage.folder import ResultsFolder
from bench.storage.lock import lock
from tests.faults.running import LONG, started, training, trains, workers_of  # noqa: F401 - a fixture
from tests.invoking import PLUG_IN, ROOT, WHOLE, bench, bench_process


@pytest.mark.slow
def test_fault_05_ctrl_c_saves_and_stops_within_two_seconds_and_the_second_one_ends_at_once(started, tmp_path):
    run = started("--checkpoint-seconds", "3")
    trains(tmp_path / "out")
    child = workers_of(run)[0]
    before = training(tmp_path / "out")["steps_done"]
    time.sleep(1.5)  # or it may still be busy with the checkpoint that has been seen
    os.killpg(run.pid, signal.SIGINT)
    began = time.monotonic()
    assert run.wait(60) == 130
    assert time.monotonic() - began < 4  # it takes 0.2 s; two are promised, on a machine that does nothing else
    assert training(tmp_path / "out")["steps_done"] > before  # saved when asked, not only when it was time
    assert not child.is_running()
    run = started("--checkpoint-seconds", "3")
    trains(tmp_path / "out", steps=3)
    stopped = workers_of(run)[0]
    stopped.suspend()  # it cannot save now
    for _ in range(60):  # two are enough, but if the machine stalls between them they are one
        run.send_signal(signal.SIGINT)
        time.sleep(1)
        if run.poll() is not None:
            break
    assert run.poll() == 130
    assert load_newest(tmp_path / "out" / ".work" / PLUG_IN / "checkpoints") is not None


@pytest.mark.parametrize(
    ("end", "status"),
    [("return 3", 3), ("raise SystemExit(2)", 2), ("raise SystemExit(143)", 143), ("return 130", 130)],
)
def test_a_process_does_not_wait_for_python_to_take_its_modules_apart(end, status):
    program = f"""if True:
        import atexit, time
        from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
        from bench.stopping import run_and_leave
        class Part:
            def __del__(self):
                print("taken apart")
        part = Part()
        atexit.register(print, "at its end")
        processes, threads = ProcessPoolExecutor(1), ThreadPoolExecutor(1)
        def work():
            time.sleep(0.2)
            print("in a thread", end=" ")
        def main():
            processes.submit(abs, 1).result()
            threads.submit(work)
            print("buffered", end=" ")
            {end}
        run_and_leave(main)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert (done.returncode, done.stderr) == (status, "")
    assert done.stdout == "buffered in a thread at its end\n"


@pytest.mark.parametrize(
    "meanwhile",
    [
        "sys.stdout = None",
        "sys.stdout.close()",
        "atexit.register(os.kill, os.getpid(), signal.SIGINT)",
        "atexit.register(os.kill, os.getpid(), signal.SIGTERM)",
    ],
)
def test_nothing_that_happens_while_a_stopped_process_leaves_is_a_traceback(meanwhile):
    program = f"import atexit, os, signal, sys; from bench.stopping import run_and_leave; {meanwhile}"
    program += "; signal.signal(signal.SIGTERM, lambda *_: sys.exit(143)); run_and_leave(lambda: 130)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.slow
def test_a_worker_whose_parent_was_killed_saves_and_stops(started, tmp_path):
    run = started("--checkpoint-seconds", "3")
    trains(tmp_path / "out")
    child = workers_of(run)[0]
    run.kill()
    child.wait(60)
    assert training(tmp_path / "out")["steps_done"] > 0


def test_fault_09_another_number_of_processes_is_refused(config, tmp_path):
    request = SimpleNamespace(out=tmp_path, extractors=[], inception_weights=None)
    begin(request, [config])
    with pytest.raises(BadInput, match="processes: 1 -> 2"):
        refuse_changed(request, [replace(config, processes=2)])


def test_fault_08_changed_learning_rate_batch_data_or_code_are_named_field_by_field(config, tmp_path):
    request = SimpleNamespace(out=tmp_path, extractors=[], inception_weights=None)
    begin(request, [config])
    path = config_path(tmp_path, config)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"code": "other"}))
    changed = replace(config, data_hash="x", sizes=replace(config.sizes, learning_rate=0.5, batch_size=4))
    with pytest.raises(BadInput) as refusal:
        refuse_changed(request, [changed])
    for field in (
        "the code that trains it has changed",
        "data_hash: ",
        "sizes.learning_rate: 0.002 -> 0.5",
        "sizes.batch_size: 16 -> 4",
    ):
        assert field in str(refusal.value)
    assert f"`--contestants {config.contestant} --fresh` begins it anew" in str(refusal.value)


def test_fault_10_another_device_is_let_pass(config, tmp_path):
    request = SimpleNamespace(out=tmp_path, extractors=[], inception_weights=None)
    begin(request, [config])
    refuse_changed(request, [replace(config, device="mps")])
    begin(request, [replace(config, device="mps")])
    assert json.loads(config_path(tmp_path, config).read_text())["device"] == "mps"


def test_fault_31_pixels_that_are_not_finite_or_out_of_range_are_counted_and_refused():
    refuse_unless_pixels(torch.linspace(-1.0005, 1.0005, 12))
    with pytest.raises(RunFailed, match="1 of 4 pixel values that are not finite"):
        refuse_unless_pixels(torch.tensor([0, float("nan"), 1, 5.0]))
    with pytest.raises(RunFailed, match=r"2 of 4 pixel values outside of -1 to 1"):
        refuse_unless_pixels(torch.tensor([0, 1.01, 1, -5.0]))
    refuse_unless_pixels(torch.tensor([0, 1.01, 1, -5.0]), are_clipped=False)  # what such a recipe draws is clamped


def test_fault_34_a_machine_that_convolves_wrongly_is_found_out(monkeypatch):
    for precision in ("no", "bf16"):
        machine.check_arithmetic("cpu", precision)
    monkeypatch.setattr(machine.F, "conv2d", lambda images, weights: torch.ones(1))
    with pytest.raises(RunFailed, match=r"four ones sum to 1\.0; try --mixed-precision no"):
        machine.check_arithmetic("cpu", "bf16")
    monkeypatch.undo()
    monkeypatch.setattr(machine, "error_of_a_network", lambda *_: 0.3)
    with pytest.raises(RunFailed, match=r"a small network is off by 0\.3"):
        machine.check_arithmetic("cpu", "no")
    monkeypatch.undo()
    monkeypatch.setattr(machine.F, "scaled_dot_product_attention", lambda query, key, value: query)
    with pytest.raises(RunFailed, match=r"cpu computes wrongly in precision no, attention is off by"):
        machine.check_arithmetic("cpu", "no")


def test_fault_35_a_disk_without_room_for_the_checkpoints_is_refused_first(config, tmp_path, monkeypatch):
    check_space(tmp_path, [config], 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(BadInput, match="0.0 GiB free, and the checkpoints need"):
        check_space(tmp_path, [config], 20)
    size = checkpoint_bytes(config, 20)
    for name in "ab":  # two are there already: only the one that is being written needs room
        durable.write_bytes(tmp_path / ".work" / config.name / "checkpoints" / name / "tensors.x", bytes(size))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=size))
    check_space(tmp_path, [config], 20)
    budgets = (Budget("images", 16), Budget("images", 32))  # a branch for each, and a trunk to come back to
    several = replace(config, sizes=replace(config.sizes, budgets=budgets))
    with pytest.raises(BadInput, match="GiB free, and the checkpoints need"):
        check_space(tmp_path, [several], 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3 * size))
    check_space(tmp_path, [several], 20)


def test_time_to_save_is_set_aside_once_however_many_runs_ask_for_it():
    with time_limit(3600):
        assert reserve_time(5) - reserve_time(5) < 1
        assert reserve_time(5) > reserve_time(9) > 3000
    assert reserve_time(5) == math.inf


def test_a_step_that_no_memory_holds_is_refused_first(config):
    check_memory([config], 20, ["no"])
    huge = replace(config, seed=1, sizes=replace(config.sizes, image_size=64, scale=5.0, batch_size=2048))
    pattern = r"^scratch needs about [\d.]+ GiB of memory .* GiB are free: lower --batch-size or --scale$"
    with pytest.raises(BadInput, match=pattern):
        check_memory([config, huge], 20, ["no"])


def test_the_memory_needed_is_the_predicted_peak_with_a_margin_and_a_share_for_each_process(config):
    cost = account(config.contestant, Setting(20, 16, config.sizes.scale, 8), config.recipe)
    predicted = cost["predicted_peak"]["bytes"]
    shared = replace(config, processes=2, sizes=replace(config.sizes, batch_size=16))
    assert memory_needed(shared, 20, "no") == pytest.approx(2 * (1.1 * predicted + 2**29), rel=1e-6)
    curious = replace(config, contestant="tests.plug_in:build_curious")  # of which only what is kept is known
    assert 2**29 < memory_needed(curious, 20, "no") < 2**29 + 2**20


def test_fault_35_a_file_that_the_disk_refuses_leaves_the_old_one_whole(tmp_path):
    durable.write_text(tmp_path / "record", "old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(CannotWrite, match="'record' cannot be written"):
            durable.write_text(tmp_path / "record", "new" * 1000)
        with pytest.raises(CannotWrite, match="'folder' cannot be written"):
            durable.write_folder(tmp_path / "folder", {"small": b"1", "large": b"1" * 2000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["record"]
    assert (tmp_path / "record").read_text() == "old"


def test_fault_36_a_record_that_the_disk_refuses_is_printed(config, tmp_path, capsys, monkeypatch):
    (tmp_path / "records").write_text("a file where the folder should be")
    job = SimpleNamespace(out=str(tmp_path), run=config, folder=ResultsFolder(tmp_path).run(config.name))
    with pytest.raises(CannotWrite):
        worker.keep(job, SimpleNamespace(to_json=lambda: '{"measured": 1}'))
    assert '{"measured": 1}' in capsys.readouterr().err


@pytest.mark.slow
def test_fault_36_a_results_folder_removed_while_it_runs_ends_the_run(started, tmp_path):
    run = started("--checkpoint-seconds", "0.2")
    trains(tmp_path / "out")
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    assert run.wait(60) in (1, 2)
    said = (tmp_path / "errors").read_text()
    assert "Traceback" not in said
    assert "cannot be written" in said


@pytest.mark.slow
def test_fault_37_two_runs_in_one_folder_at_once_one_works_and_the_other_names_it(started, tmp_path, cache):
    run = started()
    deadline = time.time() + 300
    while not (tmp_path / "out" / ".work" / "lock").exists() and time.time() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    refused = bench("run", *LONG, "--cache", cache, "--out", tmp_path / "out")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert f"is in use by process {run.pid} on " in refused.stderr
    assert "started 20" in refused.stderr
    assert run.poll() is None


def test_fault_37_a_dead_owners_lock_is_taken_over_with_a_word_and_a_tidy_ones_without(tmp_path, capsys):
    with lock(tmp_path):
        pass
    with lock(tmp_path):
        pass
    assert capsys.readouterr().err == ""
    owner = {"host": "this", "process": 1, "started": "then"}
    (tmp_path / ".work" / "lock").write_text(json.dumps(owner))
    os.utime(tmp_path / ".work" / "lock", (1, 1))
    with lock(tmp_path):
        assert "was left by process 1 on this, started then, which is gone: taking over" in capsys.readouterr().err


def test_fault_37_an_owner_on_another_machine_that_gives_signs_of_life_is_left_alone(tmp_path, monkeypatch, capsys):
    """As over a network's file system whose locks do not reach: here nobody holds it."""
    (tmp_path / ".work").mkdir()
    path = tmp_path / ".work" / "lock"
    path.write_text(json.dumps({"host": "other", "process": 1, "started": "now"}))
    monkeypatch.setattr(locking, "BEAT", 0.5)
    lives = threading.Event()

    def beat():
        while not lives.wait(0.1):
            os.utime(path)

    owner = threading.Thread(target=beat)
    owner.start()
    try:
        with pytest.raises(BadInput, match="in use by process 1 on other"), lock(tmp_path):
            pass
    finally:
        lives.set()
        owner.join()
    monkeypatch.setattr(locking, "SILENT", 2.0)
    with lock(tmp_path):  # now it is silent
        assert "process 1 on other, started now, which is gone: taking over" in capsys.readouterr().err


def test_fault_37_runs_side_by_side_do_not_sweep_each_others_cache(tmp_path):
    fresh, old = tmp_path / ".a.1.tmp", tmp_path / ".b.2.tmp"
    fresh.touch()
    old.mkdir()
    os.utime(old, (1, 1))
    (tmp_path / ".mine.tmp").touch()  # of some other program
    durable.sweep(tmp_path, deep=False, older_than=durable.NOBODYS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.1.tmp", ".mine.tmp"]
    durable.sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".mine.tmp"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is not kept elsewhere")
def test_fault_38_out_of_memory_says_what_it_took_and_what_would_fit(tmp_path, cache):
    arguments = ["run", *WHOLE, "--contestants=tests.plug_in:build_hungry", "--mixed-precision=no"]
    most = psutil.Process().memory_info().vms + 8 * 2**30
    done = bench_process(
        *arguments, "--cache", cache, "--out", tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (most, most)),
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    record = json.loads((tmp_path / "records" / "tests.plug_in.build_hungry-matched-seed0.json").read_text())
    assert record["status"] == "failed"
    found = record["measurements"]["out_of_memory"]
    assert 0 < found["largest_batch_that_fits"] < 16
    assert found["peak_bytes"] > 10**8
    assert f"batches of {found['largest_batch_that_fits']} would fit" in record["error"]
    assert record["config"]["sizes"]["batch_size"] == 16  # never changed
    assert "out of memory at a peak of" in (tmp_path / "table.md").read_text()


def test_a_worker_killed_from_outside_gets_a_row_that_says_so(config, tmp_path, monkeypatch):
    job = Job(config.as_dict(), "c", None, str(tmp_path), "", "", "", {}, {}, {})
    with pytest.raises(SystemExit):
        launch.note_end(job, [143])
    launch.note_end(job, [0])
    assert not (tmp_path / "records").exists()
    launch.note_end(job, [-9, distributed.PEER_LOST])
    error = json.loads(next((tmp_path / "records").iterdir()).read_text())["error"]
    assert error.startswith("killed by SIGKILL (out of memory? It held up to")


def test_a_lock_is_held_by_the_system_not_by_its_words(tmp_path):
    with lock(tmp_path), (tmp_path / ".work" / "lock").open() as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_fault_03_workers_that_outlive_a_killed_owner_get_time_to_end(tmp_path, monkeypatch):
    """SIGKILL of a whole process group: its processes do not end at the same moment."""
    owner = subprocess.Popen([sys.executable, "-c", ""])
    with lock(tmp_path) as descriptor:
        worker = subprocess.Popen(["sleep", "1"], pass_fds=[descriptor])
    owner.wait()
    path = tmp_path / ".work" / "lock"
    path.write_text(json.dumps({"host": socket.gethostname(), "process": owner.pid, "started": "then"}))
    with lock(tmp_path):
        assert worker.wait() == 0
    with lock(tmp_path) as descriptor:
        worker = subprocess.Popen(["sleep", "60"], pass_fds=[descriptor])
    path.write_text(json.dumps({"host": socket.gethostname(), "process": owner.pid, "started": "then"}))
    monkeypatch.setattr(locking, "ENDING", 0.3)
    with pytest.raises(BadInput, match=f"in use by process {owner.pid}"), lock(tmp_path):
        pass
    worker.kill()
    worker.wait()
