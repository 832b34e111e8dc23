"""What a record says of the machine, and which code decides what a contestant learns."""

import multiprocessing
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

import diffusers_unet
import scratch_unet
from bench import environment as here
from bench.config import CONTESTANTS

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(("flags", "words"), [([], "AVX2"), (["avx2", "amx_bf16"], "AVX2 with bf16")])
def test_machines_of_one_name_are_told_apart_by_their_instruction_set(flags, words, monkeypatch):
    monkeypatch.setattr(here, "cpu_model", lambda: "AMD EPYC")
    monkeypatch.setattr(here, "cpuinfo_flags", lambda: flags)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    found = here.environment("cpu", "abc")
    assert found["device"] == f"AMD EPYC, {os.cpu_count()} cores, {words}"
    assert found["instruction_set"] == here.start("cpu", "abc", 0)["instruction_set"] == words


def test_a_resume_on_another_instruction_set_is_marked(monkeypatch):
    starts = []
    for name in ("AVX2", "AVX512"):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda name=name: name)
        monkeypatch.setattr(here, "cpuinfo_flags", list)
        starts.append(here.start("cpu", "abc", 0))
    assert here.changed_between(starts) == ["instruction_set: AVX2 -> AVX512"]


def test_a_gpu_says_its_compute_capability(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H100")
    assert here.instruction_set("cuda") == "compute capability 9.0"
    assert here.device_name("cuda") == "H100"
    assert here.instruction_set("mps") is None


def test_only_the_load_of_others_counts(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (3.5, 0, 0))
    monkeypatch.setattr(here, "load_by", lambda process: 0.25 if process == psutil.Process() else 0.75)
    assert here.load_average() == (3.5 - 0.25) / 2
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: SimpleNamespace(pid=1))  # in a worker
    assert here.load_average() == 1.25
    monkeypatch.setattr(os, "getloadavg", lambda: (0.5, 0, 0))
    assert here.load_average() == 0

    def unknown():
        raise OSError

    monkeypatch.setattr(os, "getloadavg", unknown)
    assert here.load_average() is None
    assert here.environment("cpu", None, 0.5)["load_average"] == 0.5


PARTIAL = "import functools\nbuild = functools.partial(print)\n"


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A copy of the code that is digested, to be changed."""
    for package in ("bench", "scratch_unet", "diffusers_unet"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(here, "__file__", str(tmp_path / "bench" / "environment.py"))
    monkeypatch.setattr(scratch_unet, "__file__", str(tmp_path / "scratch_unet" / "__init__.py"))
    monkeypatch.setattr(diffusers_unet, "__file__", str(tmp_path / "diffusers_unet" / "__init__.py"))
    return tmp_path


@pytest.mark.parametrize("name", [*CONTESTANTS, "tests.plug_in:build"])
def test_the_code_that_trains_covers_tau_the_check_of_sizes_and_the_schema(name, code):
    before = here.training_code.__wrapped__(name)
    for file in ("scratch_unet/tau.py", "scratch_unet/unet.py", "bench/data/schema.py", "bench/training/trainer.py"):
        (code / file).write_text((code / file).read_text() + "# changed\n")
        after = here.training_code.__wrapped__(name)
        assert after != before, file
        before = after
    (code / "bench" / "commands" / "cli.py").write_text("# no matter\n")
    assert here.training_code.__wrapped__(name) == before


def test_the_code_is_that_which_was_imported_whatever_becomes_of_its_files(code):
    before = here.training_code("scratch")
    (code / "bench/training/trainer.py").write_text("# changed while it trains\n")
    assert here.training_code("scratch") == before != here.training_code.__wrapped__("scratch")


def test_the_code_of_a_plug_in_is_its_module_or_its_whole_package_whatever_builds_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "alone_here.py").write_text(PARTIAL)
    (tmp_path / "of_two" / "deep").mkdir(parents=True)
    for file in ("of_two/__init__.py", "of_two/deep/__init__.py", "of_two/deep/unet.py"):
        (tmp_path / file).write_text(PARTIAL)
    for name, file in (("alone_here:build", "alone_here.py"), ("of_two.deep:build", "of_two/deep/unet.py")):
        before = here.training_code.__wrapped__(name)
        (tmp_path / file).write_text(PARTIAL + "# changed\n")
        assert here.training_code.__wrapped__(name) != before
    before = here.training_code.__wrapped__("alone_here:build")
    (tmp_path / "beside.py").write_text("# no matter\n")
    assert here.training_code.__wrapped__("alone_here:build") == before


def test_what_a_plug_in_takes_from_files_beside_it_is_its_code_too(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "of_two_files.py").write_text("from its_blocks import build\n")
    (tmp_path / "its_blocks.py").write_text("import its_layers\n" + PARTIAL)
    (tmp_path / "its_layers.py").write_text("width = 3\n")
    before = here.training_code.__wrapped__("of_two_files:build")
    for file in ("its_layers.py", "its_blocks.py"):
        (tmp_path / file).write_text((tmp_path / file).read_text() + "# changed\n")
        assert here.training_code.__wrapped__("of_two_files:build") != before
        before = here.training_code.__wrapped__("of_two_files:build")
