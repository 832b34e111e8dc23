"""What a stranger's denoiser does is told in its row, or in one line; it ends nobody else's run."""

import json
import os
import sys
from dataclasses import replace

import pytest
import torch

from bench import contestants
from bench.commands.asked import run_request
from bench.contract import no_exit, predict
from bench.cost.account import Setting, account
from bench.errors import BadContestant, BadInput
from bench.runs import launch
from bench.runs.job import Job
from bench.runs.request import preflight
from bench.stopping import Stopped
from bench.storage.folder import ResultsFolder
from tests.invoking import TINY, WHOLE, bench, bench_process

HERE = "tests.hostile_plug_in"
UNFIT = {
    f"{HERE}:build_that_raises": r"ValueError: no such size \(hostile_plug_in.py, line \d+\)$",
    f"{HERE}:build_that_exits": r"it tried to end the process \(SystemExit: enough\) \(hostile_plug_in.py, line \d+\)$",
    f"{HERE}:build_nothing": "must build a torch.nn.Module, not a NoneType",
    f"{HERE}:build_without_parameters": "has no parameters to train",
    f"{HERE}:build_smaller": r"it returns \(2, 3, 16, 15\) instead of \(2, 3, 16, 16\)",
    "tests.plug_in_that_exits:build": r"cannot be imported: it tried to end the process \(SystemExit: 3\)",
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_plug_in_that_breaks_the_contract_is_told_in_one_line(name):
    with pytest.raises(BadContestant, match=UNFIT[name]) as refusal:
        contestants.check(name, 16, 1 / 32)
    assert str(refusal.value).isprintable()
    assert name in str(refusal.value)


def test_a_plug_in_that_cannot_be_called_without_memory_is_called_with_it():
    name = "tests.plug_in:build_curious"
    with pytest.raises(BadContestant, match="meta"):
        contestants.call_once(name, 16, 1 / 32, 2, "meta")
    assert contestants.check(name, 16, 1 / 32) is None
    with pytest.raises(BadContestant, match="returns"):  # what breaks the contract on a CPU too is still refused
        contestants.check(f"{HERE}:build_smaller", 16, 1 / 32)


@pytest.mark.slow
def test_a_plug_in_that_reads_a_tensors_value_runs_and_what_it_would_have_cost_is_a_dash(cache, tmp_path):
    name = "tests.plug_in:build_curious"
    done = bench("run", *TINY, "--contestants", name, "--mixed-precision=no", "--cache", cache, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    (record,) = (json.loads(path.read_text()) for path in (tmp_path / "records").iterdir())
    assert record["status"] == "done"
    assert record["measurements"]["cost"]["flops_per_image"] is None


@pytest.mark.parametrize("name", ["no.such:build", "tests.no_such:build", "tests.plug_in:no_such"])
def test_a_name_that_is_wrong_is_bad_usage_and_no_contestants_fault(name):
    remedy = "is its name right" if name == "tests.plug_in:no_such" else "run this in the folder that holds it"
    with pytest.raises(BadInput, match=f"cannot be loaded .*: {remedy}") as refusal:
        contestants.check(name, 16, 1 / 32)
    assert not isinstance(refusal.value, BadContestant)


@pytest.mark.parametrize("end", [lambda: os._exit(0), sys.exit, lambda: exec("raise BaseException")])
def test_no_way_to_end_the_process_is_taken_by_a_plug_in(end):
    leave = os._exit
    with pytest.raises(BadContestant, match="it tried to end the process"), no_exit():
        end()
    assert os._exit is leave


@pytest.mark.parametrize("ours", [Stopped(), KeyboardInterrupt(), ValueError("its own")])
def test_what_stops_us_goes_through_a_plug_ins_code(ours):
    with pytest.raises(type(ours)) as raised, no_exit():
        raise ours
    assert raised.value is ours


def test_a_process_of_a_plug_ins_own_may_end_as_it_likes():
    with no_exit():
        child = os.fork()
        if child == 0:
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_prediction_of_another_kind_is_refused_at_whatever_step():
    noisy, timestep, condition = torch.zeros(2, 3, 8, 8), torch.zeros(2), torch.zeros(2, 5)
    for answer, words in (
        (None, "not a NoneType"), ({"sample": noisy}, "not a dict"), (noisy[:1], "it returns"),
        (noisy.long(), "not torch.int64"),
    ):  # fmt: skip
        with pytest.raises(BadContestant, match=words):
            predict(lambda *_, answer=answer: answer, noisy, timestep, condition)


def asked(names, out):
    """A request of `bench run`, as the command line makes it."""
    from bench.commands.cli import parser

    arguments = parser().parse_args(
        ["run", *TINY, "--contestants", ",".join(names), "--out", str(out), "--cache", str(out)]
    )
    arguments.processes = 1
    return run_request(arguments)


def test_one_that_is_unfit_is_left_out_of_several_and_refused_alone(tmp_path):
    request = asked(["tests.plug_in:build", *UNFIT], tmp_path)
    device, unfit = preflight(request)
    assert device == "cpu"
    assert unfit.keys() == UNFIT.keys()
    with pytest.raises(BadInput) as refusal:
        preflight(replace(request, contestants=list(UNFIT)))
    assert all(name in str(refusal.value) for name in UNFIT)
    with pytest.raises(BadInput, match="cannot be loaded"):
        preflight(replace(request, contestants=["tests.plug_in:build", "no.such:build"]))


def test_an_account_of_what_cannot_be_built_is_refused_in_one_line():
    with pytest.raises(BadContestant, match="no such size"):
        account(f"{HERE}:build_that_raises", Setting(2, 16, 1.0, 2))
    traced = account(f"{HERE}:build_smaller", Setting(2, 16, 1.0, 2))
    assert "it returns (2, 3, 16, 15) instead of (2, 3, 16, 16)" in traced["untraced"]


def test_a_process_that_ends_well_before_its_run_is_done_gets_a_row(config, tmp_path):
    job = Job(config.as_dict(), "c", None, str(tmp_path), "", "", "", {}, {}, {})
    assert launch.mark_of(job) is None
    launch.note_end(job, [0], done=True)
    assert not (tmp_path / "records").exists()
    launch.note_end(job, [0], done=False)
    failed = json.loads(ResultsFolder(tmp_path).record(config.name).read_text())
    assert failed["error"] == "its process ended by itself before it was done, as by os._exit"


@pytest.mark.slow
def test_each_gets_its_row_the_others_go_on_and_json_stays_one_document(tmp_path):
    """Raised in build, exited at import, ended in the probe and in training, and one that prints all it can."""
    kinds = ("build_that_raises", "build_that_exits_later", "build_that_vanishes", "build_talking")
    names = [*(f"{HERE}:{kind}" for kind in kinds), "tests.plug_in_that_exits:build"]
    options = ["--contestants", ",".join(names), "--out", tmp_path / "out", "--cache", tmp_path / "cache", "--json"]
    done = bench_process("run", *WHOLE, *options)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for printed in ("printed at import", "printed in build", "printed in forward", "put in forward"):
        assert printed in done.stderr
    document = json.loads(done.stdout)
    assert document["done"] is False
    records = {record["config"]["contestant"]: record for record in document["records"]}
    assert records.keys() == set(names)
    talking = records.pop(f"{HERE}:build_talking")
    assert (talking["status"], talking["measurements"]["ignores_condition"]) == ("done", True)
    assert any("build_talking ignores its condition" in line for line in document["table"]["legend"])
    for record in records.values():
        words = "no such size" if "raises" in record["config"]["contestant"] else "tried to end the process"
        assert record["status"] == "failed"
        assert words in record["error"]


def test_anatomy_of_what_cannot_be_built_is_bad_input():
    done = bench("anatomy", "--contestants", f"{HERE}:build_that_exits,tests.plug_in:build", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"bench: contestant {HERE}:build_that_exits: it tried to end the")
