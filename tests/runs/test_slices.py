"""Runs in slices: a time limit, records that are kept, and a rehearsal."""

import json
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from bench.commands.arguments import duration
from bench.commands.cli import main
from bench.config import PRESETS, RunConfig, rehearsal
from bench.environment import training_code
from bench.errors import BadInput
from bench.runs.only_missing import kept_records
from bench.storage.folder import ResultsFolder
from tests.invoking import PLUG_IN, WHOLE, bench, bench_process, timeless
from tests.made_up import ENVIRONMENT, bare_record, edited, put


@pytest.mark.parametrize("text", ["5", "0s", "9 m", "-1m", "m", "1d"])
def test_a_time_limit_needs_a_positive_number_and_its_unit(text, capsys):
    assert main(["run", f"--time-limit={text}"]) == 2
    assert f"'{text}' is not a time: give a number and its unit, such as 90s" in capsys.readouterr().err


def test_times_are_understood():
    assert [duration(text) for text in ("90s", "9m", "1.5h")] == [90, 540, 5400]


@pytest.mark.slow
def test_a_run_stopped_by_its_time_limit_and_taken_up_again_has_the_same_bytes(tmp_path, monkeypatch):
    command = ["run", *WHOLE, "--epochs=30", "--contestants=tests.plug_in:build_slow", "--mixed-precision=no"]
    command += ["--cache", tmp_path / "cache"]
    name = PLUG_IN.replace("build", "build_slow")
    whole, sliced = tmp_path / "whole", tmp_path / "sliced"
    started = time.time()
    assert bench_process(*command, "--out", whole).returncode == 0
    (sliced / ".work").mkdir(parents=True)
    (sliced / ".work" / "probe.json").write_bytes((whole / ".work" / "probe.json").read_bytes())
    monkeypatch.setenv("SLOW_SECONDS", "1.5")  # training alone takes over two minutes now
    limit = time.time() - started + 25
    began = time.time()
    stopped = bench_process(*command, "--out", sliced, "--time-limit", f"{limit:.0f}s")
    assert time.time() - began < limit + 10  # a busy machine may take so long to let go
    assert stopped.returncode == 130, stopped.stderr
    assert "bench: the time limit is reached; the same command resumes, without --fresh" in stopped.stderr
    assert stopped.stdout == ""
    assert list((sliced / ".work" / name / "checkpoints").glob("leg-*"))
    monkeypatch.setenv("SLOW_SECONDS", "0")
    assert bench_process(*command, "--out", sliced).returncode == 0
    ours, theirs = (json.loads((out / "records" / f"{name}.json").read_text()) for out in (whole, sliced))
    assert timeless(ours["measurements"]) == timeless(theirs["measurements"])
    tensors = sorted((whole / ".work" / name / "checkpoints").rglob("*.safetensors"))
    assert tensors
    for path in tensors:
        assert path.read_bytes() == (sliced / path.relative_to(whole)).read_bytes()


def kept(config: RunConfig, out, **environment):
    record = bare_record(config, ENVIRONMENT | environment)
    path = ResultsFolder(out).record(config.name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(record.to_json())
    return record


def asked(out, **more):
    return SimpleNamespace(**{"out": out, "mixed_precision": None, "extractors": [], "inception_weights": None} | more)


def test_only_missing_keeps_a_record_of_this_configuration_and_this_code_from_any_machine(config, tmp_path):
    elsewhere = replace(config, device="cuda", mixed_precision="bf16", memory_format="contiguous")
    record = kept(elsewhere, tmp_path, training_code=training_code("scratch"))
    assert kept_records(asked(tmp_path), [config, replace(config, seed=1)]) == {config: record}


def test_only_missing_refuses_a_record_of_something_else(config, tmp_path):
    kept(config, tmp_path, training_code="0123456789ab")
    with pytest.raises(BadInput, match=r"made by other training code \(0123456789ab, not [0-9a-f]{12}\): use another"):
        kept_records(asked(tmp_path), [config])
    kept(config, tmp_path)
    with pytest.raises(BadInput, match="other training code \\(not recorded"):
        kept_records(asked(tmp_path), [config])
    kept(config, tmp_path, training_code=training_code("scratch"))
    longer = replace(config, sizes=replace(config.sizes, epochs=9))
    with pytest.raises(BadInput, match="another configuration \\(sizes.epochs: 3 -> 9\\)"):
        kept_records(asked(tmp_path), [longer])
    with pytest.raises(BadInput, match="mixed_precision: no -> bf16"):
        kept_records(asked(tmp_path, mixed_precision="bf16"), [config])


def test_only_missing_refuses_a_record_that_lacks_a_distance(config, tmp_path):
    kept(config, tmp_path, training_code=training_code("scratch"))
    with pytest.raises(BadInput, match="has no distance by inception"):
        kept_records(asked(tmp_path, inception_weights=tmp_path), [config])


def test_a_failed_run_is_no_record_to_keep(config, tmp_path):
    failed = edited(kept(config, tmp_path), put("failed", "status"), put("why", "error"))
    ResultsFolder(tmp_path).record(config.name).write_text(failed.to_json())
    assert kept_records(asked(tmp_path), [config]) == {}


def test_only_missing_and_fresh_contradict_each_other(tmp_path, capsys):
    assert main(["run", "--fresh", "--only-missing", "--out", str(tmp_path), "--cache", str(tmp_path)]) == 2
    assert "--fresh and --only-missing contradict each other" in capsys.readouterr().err


def test_a_rehearsal_is_as_small_as_can_be_but_for_the_models():
    sizes = rehearsal(PRESETS["full"], 2)
    assert (sizes.scale, sizes.image_size, sizes.max_steps) == (1.0, 64, 2)
    assert sizes.batch_size * sizes.max_steps <= 0.9 * sizes.images


@pytest.mark.slow
def test_a_rehearsal_goes_through_a_whole_run(tmp_path):
    options = ["--preset=full", "--max-steps=2", "--scale=0.03125", "--contestants=scratch", "--device=cpu"]
    done = bench("run", *options, "--out", tmp_path / "out", "--cache", tmp_path / "cache", "--json")
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)["records"]
    assert record["measurements"]["training"]["images_per_epoch"] == 4
    assert record["config"]["recipe"]["sampling_steps"] == 2
