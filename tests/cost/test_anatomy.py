"""`bench anatomy`: the published figures from any machine, in any form, without the memory."""

import json
import subprocess
import sys

import pytest
from PIL import Image

from bench import contestants
from bench.cost.anatomy import MIB, Question, describe, largest_batch
from bench.cost.check import check_predictions
from bench.render.anatomy import anatomy_table, draw_anatomy, lines, notes
from tests.accounts import remembered_account
from tests.invoking import ROOT, bench

PUBLISHED = {  # weights, Adam, gradients in MiB
    "scratch": (291.69, 583.38, 291.69),
    "diffusers-32": (719.11, 1438.23, 719.11),
    "diffusers-16": (688.49, 1376.98, 688.49),
    "diffusers-8": (688.49, 1376.98, 688.49),
}


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    picture = tmp_path_factory.mktemp("anatomy") / "memory.png"
    done = bench("anatomy", "--contestants", ",".join(PUBLISHED), "--json", "--peak", "100", "--plot", picture)
    assert done.returncode == 0, done.stderr
    with Image.open(picture) as drawn:
        assert drawn.size[0] > 1000
    return json.loads(done.stdout)


def entry_of(document, name):
    return next(entry for entry in document["contestants"] if entry["name"] == name)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_megabytes_come_out(document, name):
    memory = entry_of(document, name)["memory_mib"]
    found = tuple(round(memory[kind], 2) for kind in ("weights", "adam", "gradients"))
    assert found == (pytest.approx(PUBLISHED[name], rel=1e-3) if name == "scratch" else PUBLISHED[name])
    assert memory["ema"] == 0  # recipe `matched` keeps no average


def test_the_document_has_the_fixed_keys(document):
    assert {"schema_version", "batch_size", "image_size", "contestants"} <= document.keys()
    assert (document["batch_size"], document["image_size"]) == (128, 64)
    for entry in document["contestants"]:
        assert {"name", "parameters", "memory_mib", "gflop_per_image", "attention"} <= entry.keys()
        assert entry["parameters"].keys() == {"total", "unet", "tau"}
        assert entry["memory_mib"].keys() >= {
            "weights", "adam", "gradients", "activations_hook_sum", "activations_saved", "predicted_peak"
        }  # fmt: skip
        assert entry["gflop_per_image"].keys() >= {"forward", "training", "conv", "linear", "attention"}
        for here in entry["attention"]:
            assert here.keys() == {"where", "query_tokens", "context_tokens", "heads", "head_width", "kind"}


def test_the_hook_sum_stands_beside_the_sources(document):
    scratch = entry_of(document, "scratch")
    assert scratch["source_hook_sum"]["mib"] == 18_319
    ratio = scratch["memory_mib"]["activations_hook_sum"] / 18_319
    assert scratch["source_hook_sum"]["ratio"] == pytest.approx(ratio)
    (line,) = (line for line in lines(document) if line.label.startswith("… the blog post's figure"))
    assert line.cell(scratch) == f"18,319; ours is {ratio:.3f} of it"
    assert entry_of(document, "diffusers-32")["source_hook_sum"] is None


@pytest.mark.parametrize("name", PUBLISHED)
def test_figures_agree_among_themselves(document, name):
    entry = entry_of(document, name)
    memory, gflop = entry["memory_mib"], entry["gflop_per_image"]
    assert sum(here["parameters"] for here in entry["levels"]) == entry["parameters"]["total"]
    for kind in ("weights", "adam", "gradients", "ema", "activations_saved"):
        assert sum(here["memory_mib"][kind] for here in entry["levels"]) == pytest.approx(memory[kind])
    assert sum(entry["peak_parts_mib"].values()) == pytest.approx(memory["predicted_peak"])
    assert gflop["conv"] + gflop["linear"] + gflop["attention"] == pytest.approx(gflop["forward"])
    assert entry["time_floor"]["seconds_per_image"] == pytest.approx(gflop["training"] / 100)


def test_more_parameters_do_not_mean_more_arithmetic(document):
    many, few = entry_of(document, "diffusers-32"), entry_of(document, "diffusers-16")
    assert many["parameters"]["total"] > few["parameters"]["total"]
    assert many["gflop_per_image"]["forward"] < few["gflop_per_image"]["forward"]
    assert many["gflop_per_image"]["forward"] == pytest.approx(126, abs=0.5)  # as counted elsewhere, too
    assert few["gflop_per_image"]["forward"] == pytest.approx(168, abs=1)


def test_what_cannot_be_had_is_a_dash_with_its_reason(document):
    asked = Question(["tests.plug_in:build_curious"], 16, 4)
    curious = describe(("tests.plug_in:build_curious", asked))
    assert curious["memory_mib"]["weights"] > 0
    assert curious["memory_mib"]["predicted_peak"] is None
    both = document | {"contestants": [*document["contestants"], curious]}
    table = anatomy_table(both)
    assert list(table.columns[-1].cells).count("–") > 8
    said = "\n".join(notes(both))
    assert "it reads a tensor's value" in said
    assert "– error of the prediction: --check measures it" in said
    assert "– largest batch: say how much memory there is" in said


@pytest.mark.parametrize("kind", ["reading", "in_double"])
def test_what_cannot_be_built_without_memory_is_built_with_it_and_has_dashes(kind):
    """It reads a tensor's value in its constructor, say, or is cast there."""
    name = f"tests.breaking_plug_in:build_{kind}"
    found = describe((name, Question([name], 16, 4)))
    assert found["memory_mib"]["weights"] > 0
    assert found["memory_mib"]["predicted_peak"] is None
    assert contestants.build_on_meta(name, 2, 16, 1 / 32) is not None


def test_one_token_is_warned_of(document):
    entry = entry_of(document, "scratch") | {"one_token_contexts": ["unet.middle"]}
    assert any(
        "warning: scratch's cross attention 'unet.middle'" in n for n in notes(document | {"contestants": [entry]})
    )


def test_a_smaller_scale_has_fewer_parameters_and_says_so(document):
    whole, eighth = entry_of(document, "scratch"), describe(("scratch", Question(["scratch"], 64, 8, scale=1 / 8)))
    assert eighth["parameters"]["total"] < whole["parameters"]["total"] / 30
    assert eighth["source_hook_sum"] is None
    assert anatomy_table(document | {"scale": 1 / 8}).columns[0].header == "64×64, batch 128, scale 0.125"
    assert anatomy_table(document).columns[0].header == "64×64, batch 128"


@pytest.mark.parametrize(
    ("memory", "start"), [(10_000, 128), (10_000, 1), (10_049, 7), (10_050, 200), (99, 4), (160, 9)]
)
def test_the_largest_batch_is_the_last_that_fits(memory, start):
    def peak(batch):
        return max(150, 100 + 50 * batch, 60 * batch)  # evenly, then steeper

    found = largest_batch(peak, memory, start)
    assert found == 0 or peak(found) <= memory
    assert peak(found + 1) > memory


@pytest.mark.slow
def test_the_largest_batch_for_a_gpu_of_24_gib(monkeypatch):
    monkeypatch.setattr("bench.cost.account.account", remembered_account)  # the last two are asked for again
    entry = describe(("scratch", Question(["scratch"], 64, 128, memory_bytes=24 * 2**30)))
    batch = entry["largest_batch"]["batch_size"]

    def peak(size):
        return describe(("scratch", Question(["scratch"], 64, size)))["memory_mib"]["predicted_peak"]

    assert peak(batch) <= 24 * 2**30 / MIB < peak(batch + 1)


GROWTH = """
import resource
from bench.cost.account import Setting, account, published
from bench.config import CONTESTANTS
account("diffusers-32", Setting(4, 16, 1 / 32, 2))  # everything is imported, and the caches of shapes begun
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name in CONTESTANTS:
    account(name, published(128))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_accounting_full_size_contestants_takes_no_memory():
    done = subprocess.run([sys.executable, "-c", GROWTH], capture_output=True, text=True, cwd=ROOT, check=True)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes that ru_maxrss counts in
    assert int(done.stdout) * unit / MIB < 200  # their weights alone are 2,388


@pytest.mark.slow
def test_predictions_are_checked_against_real_steps_and_a_failure_says_why():
    checked = check_predictions(["scratch", "tests.plug_in:build_curious"], "no", checkpointing=False)
    assert [check["batch_size"] for check in checked["scratch"]] == [4, 16]
    assert all(abs(check["prediction_error"]) < 0.1 for check in checked["scratch"])
    assert all(check["measured_bytes"] > 0 for check in checked["tests.plug_in:build_curious"])
    assert all(check["prediction_error"] is None for check in checked["tests.plug_in:build_curious"])
    (unable, _) = check_predictions(["tests.plug_in:build"], "no", checkpointing=True)["tests.plug_in:build"]
    assert "enable_gradient_checkpointing" in unable["why"]


def test_a_picture_of_one_contestant(document, tmp_path):
    draw_anatomy(document | {"contestants": [entry_of(document, "scratch")]}, tmp_path / "one.png")
    with Image.open(tmp_path / "one.png") as drawn:
        assert drawn.size[1] > 300
