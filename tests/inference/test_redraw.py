"""`bench pictures`: the same pictures from the same weights, and what is missing is named, never replaced by others."""

import json
import re
import shutil
from dataclasses import replace

import pytest
import torch

from bench import contestants
from bench.commands.cli import main
from bench.config import run_name
from bench.duties.candidate import awaken
from bench.inference.load import Model, averaged, ready
from bench.runs.job import Job
from bench.runs.runner import another_seed_has_pictures
from bench.sampling.draw import draw
from bench.storage.records import read_record
from bench.training.state import to_checkpoint
from bench.training.trainer import Trainer
from tests.invoking import bench
from tests.less import measured_less
from tests.shared import SHARED

PROGRESS = re.compile(r"^\S+ .*: \d+\.\d s$")  # a phase that was slow enough to be named
FIRST, SECOND = (run_name("scratch", "matched", seed) for seed in (0, 1))


@pytest.fixture(scope="module")
def of_scratch(finished, cache, tmp_path_factory):
    """The shared run as if `scratch` alone had been run, with two seeds of which 1 came first."""
    out = shutil.copytree(finished.out, tmp_path_factory.mktemp("results") / "tiny")
    for other in (run_name(name, "matched", 0) for name in finished.contestants if name != "scratch"):
        (out / "records" / f"{other}.json").unlink()
        for part in (out / "images", out / ".work"):
            shutil.rmtree(part / other)
    done = bench("run", *SHARED, "--contestants=scratch", "--seeds=1,0", "--out", out, "--cache", cache)
    assert (done.returncode, done.stderr.count("finished already")) == (0, 2), done.stderr
    return out


@pytest.fixture
def folder(of_scratch, tmp_path):
    return shutil.copytree(of_scratch, tmp_path / "tiny")


def redrawn(capsys, folder):
    with measured_less():  # as the run was drawn
        status = main(["pictures", str(folder)])
    said = capsys.readouterr()
    assert said.out == f"{folder / 'images'}\n"
    return status, "".join(line for line in said.err.splitlines(keepends=True) if not PROGRESS.search(line))


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_weights_draw_the_same_pictures_and_nothing_measured_changes(folder, capsys):
    pictures, records, table = files(folder / "images"), files(folder / "records"), (folder / "table.md").read_bytes()
    for path in [*folder.glob("images/*/*.gif"), *folder.glob("images/*/[gs]*.png"), *folder.glob("images/*.svg")]:
        path.unlink()
    assert redrawn(capsys, folder) == (0, "")
    assert files(folder / "images") == pictures
    assert files(folder / "records") == records
    assert (folder / "table.md").read_bytes() == table


def drawn_in(record):
    """The kinds of pictures that a record names."""
    return {kind for kind, path in record.images if path}


def test_one_seed_of_a_contestant_has_the_larger_pictures(folder):
    found = {name: read_record(folder / "records" / f"{name}.json") for name in (FIRST, SECOND)}
    assert drawn_in(found[FIRST]) == {"epochs", "samples", "example"}
    assert drawn_in(found[SECOND]) >= {"guidance", "guidance_sweep", "denoising", "noising"}  # it came first
    assert another_seed_has_pictures(folder, found[FIRST].run)
    assert not another_seed_has_pictures(folder, found[SECOND].run)


def test_without_checkpoints_plots_and_table_are_drawn_and_the_rest_is_named(folder, capsys):
    shutil.rmtree(folder / ".work")
    pictures = files(folder / "images")
    shutil.rmtree(folder / "images")
    status, said = redrawn(capsys, folder)
    assert (status, said.count("\n")) == (0, 2)
    assert f"tiny: {FIRST}: no picture of its samples is drawn: its checkpoints are not here" in said
    assert files(folder / "images") == {name: content for name, content in pictures.items() if "/" not in name}


def test_other_weights_are_never_drawn_for_what_was_measured(folder, capsys):
    path = folder / "records" / f"{SECOND}.json"
    record = json.loads(path.read_text())
    record["measurements"]["sampling"]["seconds"] = 7.0  # measured elsewhere
    path.write_text(json.dumps(record))
    before = files(folder / "images" / SECOND), path.read_bytes()
    status, said = redrawn(capsys, folder)
    assert (status, said.count("\n")) == (0, 1)
    assert f"{SECOND}: no picture of its samples is drawn: the run in .work is not the one that was recorded" in said
    assert (files(folder / "images" / SECOND), path.read_bytes()) == before


def test_a_model_of_another_step_is_not_the_one_that_was_measured(folder, capsys):
    for path in (folder / "records" / f"{SECOND}.json", folder / ".work" / SECOND / "finished.json"):
        record = json.loads(path.read_text())
        record["measurements"]["training"]["main_steps"] += 1
        path.write_text(json.dumps(record))
    status, said = redrawn(capsys, folder)
    assert (status, said.count("\n")) == (0, 1)
    assert "its weights are those of step 6, not the ones scored" in said


def test_weights_that_are_gone_are_named(folder, capsys):
    shutil.rmtree(folder / ".work" / SECOND / "weights")
    status, said = redrawn(capsys, folder)
    assert (status, said.count("\n")) == (0, 1)
    assert f"{SECOND}: no picture of its samples is drawn: the weights of its finished model are gone" in said


def test_without_the_judge_only_the_confusions_are_missing(folder, capsys):
    for name in (FIRST, SECOND):
        told = folder / ".work" / name / "job.json"
        told.write_text(json.dumps(json.loads(told.read_text()) | {"classifier": str(folder / "gone")}))
    pictures = files(folder / "images")
    (folder / "images" / SECOND / "denoising.gif").unlink()
    status, said = redrawn(capsys, folder)
    assert (status, said) == (0, f"tiny: {SECOND}: confusions are not drawn: the classifier is no longer cached\n")
    assert files(folder / "images") == pictures


def test_a_truncated_record_is_refused_by_name_and_the_others_are_drawn(folder, capsys):
    path = folder / "records" / f"{FIRST}.json"
    path.write_text(path.read_text()[:300])
    (folder / "images" / "curves.png").unlink()
    status, said = redrawn(capsys, folder)
    assert (status, said.count("\n")) == (1, 1)
    assert f"record {FIRST}.json cannot be read" in said
    assert (folder / "images" / "curves.png").exists()
    assert main(["overview", str(folder.parent)]) == 1
    said = capsys.readouterr()
    assert f"record {FIRST}.json cannot be read" in said.err
    assert "tiny: scratch" in (folder.parent / "README.md").read_text()


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_a_loaded_denoiser_draws_in_the_precision_of_its_run(precision, config, parts):
    config = replace(config, mixed_precision=precision)
    built = awaken(contestants.build("scratch", parts.train.schema.width, 16, config.sizes.scale, 0))
    trainer = Trainer(built, config, parts.train)
    asked = parts.test.conditions[:4]
    with trainer.averaged() as denoiser:
        drawn = draw(denoiser, config, asked, trainer.accelerator.device)
    weights = averaged(to_checkpoint(trainer), config, parts.train.schema)
    loaded = Model(config, weights, 0, parts.train.schema, parts.test.codes).denoiser()
    assert torch.equal(draw(loaded, config, asked, torch.device("cpu")), drawn) == (precision == "no")
    made_ready, device = ready(loaded, config)
    assert torch.equal(draw(made_ready, config, asked, device), drawn)


def test_a_gpus_run_is_drawn_on_what_there_is_with_a_word_about_it(config, parts, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    built = contestants.build("scratch", parts.train.schema.width, 16, config.sizes.scale, 0)
    _, device = ready(built, replace(config, device="cuda", mixed_precision="fp16"))
    assert device.type == "cpu"
    assert capsys.readouterr().err == "no cuda here: drawing on cpu, which may change a few pixels\n"


def test_a_job_of_another_version_is_named(folder, capsys):
    told = folder / ".work" / SECOND / "job.json"
    told.write_text(json.dumps(json.loads(told.read_text()) | {"strange": 1}))
    assert Job(**json.loads((folder / ".work" / FIRST / "job.json").read_text()))
    status, said = redrawn(capsys, folder)
    assert (status, said.count("\n")) == (0, 1)
    assert f"{SECOND}: no picture of its samples is drawn: its job.json cannot be read" in said
