"""`bench export`: what a fresh process loads draws the very pixels that the harness draws, and the card is true."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard

from bench import contestants, randomness
from bench.commands.cli import main
from bench.config import MATCHED, SOURCE
from bench.errors import BadInput, CannotWrite
from bench.inference import export
from bench.inference.load import find_model
from bench.inference.pipeline import AvatarPipeline
from bench.record import Record
from bench.runs.begun import config_path, note_of
from bench.runs.train import write_asked
from bench.sampling.diffusion import sample
from bench.sampling.draw import draw
from bench.storage import durable
from bench.storage.checkpoint import save_checkpoint
from bench.storage.folder import ResultsFolder
from bench.storage.weights import keep_weights
from bench.training.state import to_checkpoint
from bench.training.trainer import Trainer
from tests.conftest import tiny_config
from tests.invoking import ROOT, bench
from tests.made_up import bare_record

SEED = 5
NAMES = ("scratch", "diffusers-32")

IN_A_FRESH_PROCESS = """
import sys, numpy, torch
from bench import randomness
from bench.inference.pipeline import AvatarPipeline

folders, out = sys.argv[1:-1], sys.argv[-1]
condition = torch.from_numpy(numpy.load(out + "/condition.npy"))
for folder in folders:
    pipeline = AvatarPipeline.from_pretrained(folder)
    def draw(kind):
        generators = randomness.generators(5, "sample", range(len(condition)))
        return pipeline(condition, generator=generators, output_type=kind).images
    name = folder.rsplit("/", 1)[1]
    pixels = numpy.stack([numpy.asarray(image) for image in draw("pil")])
    numpy.savez(f"{out}/{name}.npz", floats=draw("pt").numpy(), pixels=pixels)
"""


def trained(out, config, parts, epochs=0):
    """What a run has in `.work` after so many epochs."""
    sizes = config.sizes
    denoiser = contestants.build(config.contestant, parts.train.schema.width, sizes.image_size, sizes.scale, 0)
    trainer = Trainer(denoiser, config, parts.train)
    for _ in range(epochs):
        trainer.run_epoch(lambda step, loss: None)
        trainer.end_epoch({})
    folder = config_path(out, config).parent
    durable.write_text(folder / "config.json", json.dumps(note_of(config)))
    write_asked(folder / "test.safetensors", parts.test)
    save_checkpoint(folder / "checkpoints", (0, epochs, trainer.log.steps_done), to_checkpoint(trainer))
    if epochs:
        with trainer.averaged() as finished:
            keep_weights(ResultsFolder(out).run(config.name).weights(trainer.log.steps_done), finished)
    return trainer.log.steps_done


def measured(out, config, steps):
    """A record of this run, with the numbers of one that was really measured."""
    known = json.loads((ROOT / "results" / "laptop" / "records" / "scratch-matched-seed0.json").read_text())
    known["config"] = json.loads(json.dumps(config.as_dict()))
    known["measurements"]["training"]["main_steps"] = steps
    durable.write_text(config_path(out, config).parent / "finished.json", Record(**known).to_json())
    return known


def tiny(avatars, name):
    """A configuration of the smallest size, with few steps of sampling."""
    return replace(tiny_config(avatars), contestant=name, recipe=replace(MATCHED, sampling_steps=4))


@pytest.fixture(scope="module")
def run(tmp_path_factory, avatars, parts):
    """A results folder with a measured run of each, and further seeds and contestants that nobody has measured."""
    out = tmp_path_factory.mktemp("run")
    for name in NAMES:
        config = tiny(avatars, name)
        measured(out, config, trained(out, config, parts, epochs=1))
    trained(out, replace(tiny(avatars, "scratch"), seed=3), parts)
    trained(out, replace(tiny(avatars, "scratch"), recipe=replace(SOURCE, sampling_steps=4)), parts)
    for name in ("build", "build_saved", "build_forgetful"):
        trained(out, tiny(avatars, f"tests.plug_in:{name}"), parts)
    return out


def exported(run, folder, contestant="scratch", *more):
    assert main(["export", str(run), str(folder), "--contestant", contestant, *more]) == 0
    return folder


@pytest.fixture(scope="module")
def folders(run, tmp_path_factory):
    return {name: exported(run, tmp_path_factory.mktemp("pipelines") / name, name) for name in NAMES}


def reference(run, name, condition):
    model = find_model(run, name, "matched")
    config, denoiser = model.config, model.denoiser()
    pixels = draw(denoiser, config, condition, torch.device("cpu"), seed=SEED)
    finished = sample(denoiser, config.recipe, condition, 16, SEED, range(len(condition)), config.recipe.guidance)
    return pixels, (finished / 2 + 0.5).clamp(0, 1)


@pytest.fixture(scope="module")
def drawn_elsewhere(folders, parts, tmp_path_factory):
    """What a fresh process has drawn of three test conditions from every folder: NAME.npz."""
    out = tmp_path_factory.mktemp("drawn")
    np.save(out / "condition.npy", parts.test.conditions[:3].numpy())
    subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_PROCESS, *folders.values(), out],
        check=True, capture_output=True, cwd=ROOT, timeout=900,
    )  # fmt: skip
    return out


@pytest.mark.parametrize("name", NAMES)
def test_a_fresh_process_draws_the_very_pixels_of_the_harness(name, run, drawn_elsewhere, parts):
    found = np.load(drawn_elsewhere / f"{name}.npz")
    pixels, floats = reference(run, name, parts.test.conditions[:3])
    assert np.array_equal(found["pixels"], pixels.permute(0, 2, 3, 1).numpy())
    assert np.array_equal(found["floats"], floats.numpy())


@pytest.mark.parametrize("name", NAMES)
def test_the_folder_is_laid_out_as_diffusers_lays_it_out(name, folders):
    found = {str(path.relative_to(folders[name])) for path in folders[name].rglob("*") if path.is_file()}
    weights = "denoiser/diffusion_pytorch_model.safetensors"
    assert found == {
        "README.md", "model_index.json", "denoiser/config.json", weights, "scheduler/scheduler_config.json",
    }  # fmt: skip
    modes = {(folders[name] / path).stat().st_mode for path in found}
    assert len(modes) == 1  # who may read the card may read the weights


def test_it_is_asked_by_name_and_completes_the_rest_from_real_avatars(folders, parts):
    pipeline = AvatarPipeline.from_pretrained(folders["scratch"])
    pipeline.set_progress_bar_config(disable=True)
    schema, real = parts.test.schema, parts.test.codes
    assert pipeline.whole_avatars.tolist() == real.tolist()  # so few that all are kept
    generator = torch.Generator().manual_seed(1)
    condition = pipeline.encode_attributes([{"top": "curly"}, "skinColor=pale", ""], generator)
    codes = torch.stack([group.argmax(1) for group in condition.split(schema.cardinalities, dim=1)], dim=1)
    assert codes[0, schema.names.index("top")] == schema.attributes[0].code("curly")
    assert codes[1, schema.names.index("skinColor")] == schema.parse("skinColor=pale")["skinColor"]
    assert codes[2].tolist() in real.tolist()
    asked = pipeline({"top": "curly"}, generator=generator, num_inference_steps=2, output_type="np").images
    assert asked.shape == (1, 16, 16, 3)
    again = pipeline("top=curly", None, 2, torch.Generator().manual_seed(1), "np", return_dict=False)[0]
    assert (asked == again).all()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"attributes": {"tops": "curly"}}, "unknown attribute 'tops': try top"),
        ({"attributes": {"top": "curls"}}, "try curly"),
        ({"attributes": []}, "a condition must be"),
        ({"attributes": torch.zeros(2, 3)}, r"not \(2, 3\)"),
        ({"attributes": ["", ""], "generator": [torch.Generator()]}, "1 generators for 2 avatars"),
        ({"output_type": "jpg"}, "none of pil, np, pt"),
        ({"guidance_scale": float("nan")}, "a finite number, not nan"),
        ({"num_inference_steps": 0}, "0 sampling steps do not divide the schedule's 300 timesteps: take 1"),
        ({"num_inference_steps": 301}, "301 sampling steps do not divide the schedule's 300 timesteps: take 300"),
    ],
)
def test_what_cannot_be_drawn_is_a_value_error(options, why, folders):
    with pytest.raises(ValueError, match=why):
        AvatarPipeline.from_pretrained(folders["scratch"])(**options)


def test_the_ancestral_sampler_of_the_source_is_exported_too(run, parts, tmp_path):
    pipeline = AvatarPipeline.from_pretrained(exported(run, tmp_path / "pipe", "scratch", "--recipe", "source"))
    model = find_model(run, "scratch", "source")
    config, condition = model.config, parts.test.conditions[:2]
    expected = sample(model.denoiser(), config.recipe, condition, 16, SEED, range(2), config.recipe.guidance)
    generators = randomness.generators(SEED, "sample", range(2))
    found = pipeline(condition, generator=generators, output_type="pt").images
    assert torch.equal(found, (expected / 2 + 0.5).clamp(0, 1))


def test_the_card_tells_what_was_measured_and_what_the_data_are(run, folders):
    card = ModelCard.load(folders["scratch"] / "README.md")
    record = json.loads((run / ".work" / "scratch-matched-seed0" / "finished.json").read_text())
    assert (card.data.license, card.data.library_name) == ("mit", "diffusers")
    found = {result.metric_type: result for result in card.data.eval_results}
    distance = record["measurements"]["distance"]["efficientnet-lite0"]
    assert found["frechet_distance"].metric_value == distance["frechet_distance"]
    assert found["frechet_distance"].metric_name.endswith(
        f"(EfficientNet-Lite0), {distance['generated']} generated against {distance['real']} real"
    )
    assert found["kid"].metric_value == distance["kid"]["value"]
    macro = record["measurements"]["attributes"]["macro"]
    assert found["accuracy"].metric_value == macro["accuracy"]
    assert f"ceiling on real images is {macro['ceiling']:.3f}" in found["accuracy"].metric_name
    assert {result.dataset_revision for result in found.values()} == {record["config"]["data_hash"]}
    assert card.data.to_dict()["model-index"][0]["name"] == "scratch-matched-seed0"
    for words in (record["command"], "Avataaars by Pablo Stanley, free for personal and commercial use", "MIT"):
        assert words in card.text
    assert ModelCard(str(card)).data.to_dict() == card.data.to_dict()


def test_a_card_without_a_record_has_no_numbers_and_says_why(run, tmp_path):
    config = find_model(run, "scratch", "matched", 3).config
    card = ModelCard.load(exported(run, tmp_path / "first", "scratch", "--seed", "3") / "README.md")
    assert card.data.eval_results is None
    assert "Nothing: its run has not finished." in card.text
    assert "0 steps in batches of 16" in card.text
    failed = bare_record(config, status="failed", error="out of memory")
    durable.write_text(run / "records" / f"{config.name}.json", failed.to_json())
    card = ModelCard.load(exported(run, tmp_path / "second", "scratch", "--seed", "3") / "README.md")
    assert "Nothing: its run failed (out of memory)." in card.text
    measured(run, config, steps=1)  # other weights than these
    card = ModelCard.load(exported(run, tmp_path / "third", "scratch", "--seed", "3") / "README.md")
    assert card.data.eval_results is None


def test_the_card_of_committed_weights_says_that_they_are_rounded(folders, tmp_path):
    said = "rounded to half precision after they were measured"
    assert said in (exported(ROOT / "results" / "laptop", tmp_path / "pipe", "scratch") / "README.md").read_text()
    assert said not in (folders["scratch"] / "README.md").read_text()


def test_a_run_that_has_only_begun_hides_no_finished_model(avatars, parts, tmp_path):
    begun, finished = (replace(tiny(avatars, "scratch"), seed=seed) for seed in (0, 1))
    trained(tmp_path, finished, parts)
    durable.write_text(config_path(tmp_path, begun), json.dumps(note_of(begun)))
    assert find_model(tmp_path, "scratch", "matched").config.seed == 1
    with pytest.raises(BadInput, match="has not begun to train"):
        find_model(tmp_path, "scratch", "matched", 0)


def test_the_card_of_other_data_names_the_licence_of_cartoon_set(run, avatars, parts, tmp_path):
    config = replace(tiny(avatars, "scratch"), data="cartoonset10k.tgz", seed=4)
    trained(run, config, parts)
    text = (exported(run, tmp_path / "pipe", "scratch", "--seed", "4") / "README.md").read_text()
    assert "`cartoonset10k.tgz`" in text
    assert "CC BY 4.0" in text


def test_the_same_run_gives_the_same_bytes(run, folders, tmp_path):
    again = exported(run, tmp_path / "again")
    for path in (path for path in again.rglob("*") if path.is_file()):
        assert str(run).encode() not in path.read_bytes()
        assert path.read_bytes() == (folders["scratch"] / path.relative_to(again)).read_bytes()


def test_a_users_own_model_is_exported_if_diffusers_can_save_it(run, tmp_path):
    folder = exported(run, tmp_path / "own", "tests.plug_in:build_saved")
    text = (folder / "README.md").read_text()
    assert "import tests.plug_in  # the denoiser's own package" in text
    assert AvatarPipeline.from_pretrained(folder).denoiser.config.condition_width > 0


@pytest.mark.parametrize(
    ("contestant", "more", "why"),
    [
        ("tests.plug_in:build", [], "builds a Plain, which diffusers cannot save: derive it from"),
        ("tests.plug_in:build_forgetful", [], "is not the same when it is loaded again"),
        ("scratch", ["--seed", "9"], "holds no weights of scratch (matched, seed 9)"),
        ("diffusers-8", [], "it has diffusers-32-matched-seed0, "),
        ("scrach", [], "unknown contestant 'scrach': try scratch"),
    ],
)
def test_what_cannot_be_exported_is_one_line_and_leaves_nothing(contestant, more, why, run, tmp_path, capsys):
    assert main(["export", str(run), str(tmp_path / "pipe"), "--contestant", contestant, *more]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert why in said[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_empty_is_left_alone(run, tmp_path):
    (tmp_path / "mine").write_text("mine")
    refused = bench("export", run, tmp_path, "--contestant", "scratch")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert "exists already: name a new folder" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    (tmp_path / "empty").mkdir()
    exported(run, tmp_path / "empty")


def test_a_full_disk_leaves_nothing_half_written(run, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export.durable, "sync_tree", full)
    with pytest.raises(CannotWrite, match="'pipe' cannot be written"):
        export.export(run, "scratch", "matched", None, tmp_path / "pipe")
    assert list(tmp_path.iterdir()) == []
