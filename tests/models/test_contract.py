"""What every contestant owes the harness, whoever wrote it."""

import pytest
import torch

import scratch_unet
from bench import contestants
from bench.config import CONTESTANTS
from bench.duties.candidate import Candidate, Inputs, answer
from bench.duties.duties import has_other_sizes
from bench.duties.examine import DUTIES, unmet
from bench.errors import BadInput
from tests.conftest import TINY

WIDTH, SIZE = 11, 16


@pytest.fixture(scope="module", params=CONTESTANTS)
def candidate(request):
    return Candidate(request.param, WIDTH, SIZE, TINY)


HERE = [duty for duty in DUTIES if duty.check is not has_other_sizes]  # which is asked of few: tests/duties


@pytest.mark.parametrize("duty", HERE, ids=lambda duty: duty.check.__name__)
def test_ours_meet_every_duty(candidate, duty):
    assert unmet(duty, candidate) is None


def test_an_image_alone_is_predicted_as_in_a_batch(candidate):
    """Models as small as these round less than `bench check` allows a stranger's."""
    whole = answer(candidate.denoiser, candidate.inputs)
    rows = [Inputs(*(each[i : i + 1] for each in candidate.inputs)) for i in range(len(whole))]
    alone = torch.cat([answer(candidate.denoiser, row) for row in rows])
    torch.testing.assert_close(whole, alone, rtol=1e-4, atol=1e-5)


def test_saves_and_loads_as_diffusers_models_do(candidate, tmp_path):
    denoiser, inputs = candidate.denoiser, candidate.inputs
    denoiser.save_pretrained(tmp_path)
    assert [p.suffix for p in tmp_path.iterdir() if p.suffix != ".json"] == [".safetensors"]
    again = type(denoiser).from_pretrained(tmp_path).eval()
    torch.testing.assert_close(again(*inputs), denoiser(*inputs), rtol=0, atol=0)


@pytest.mark.parametrize("name", CONTESTANTS)
@pytest.mark.parametrize(("size", "scale", "word"), [(30, TINY, "image size 30"), (16, 0.3, "scale 0.3")])
def test_refuses_sizes_that_do_not_divide(name, size, scale, word):
    with pytest.raises(BadInput, match=word):
        contestants.build_on_meta(name, WIDTH, size, scale)


def test_what_importing_a_plug_in_changes_is_undone_and_said(tmp_path, monkeypatch, capsys):
    """Or it would train the models of others, and the judges, in another precision."""
    (tmp_path / "in_double_throughout.py").write_text(
        "import torch\ntorch.set_default_dtype(torch.float64)\ntorch.set_num_threads(7)\nbuild = print\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    before = torch.get_default_dtype(), torch.get_num_threads()
    contestants.contestant("in_double_throughout:build")
    assert (torch.get_default_dtype(), torch.get_num_threads()) == before
    said = "importing it changed torch's default dtype, torch's number of threads; that was undone"
    assert said in capsys.readouterr().err


def test_plug_in_contestants_are_loaded_by_name():
    assert contestants.contestant("scratch_unet:build").build is scratch_unet.build


@pytest.mark.parametrize(
    ("name", "word"),
    [("scrach", "scratch"), ("no.such:model", "cannot be loaded"), ("scratch_unet:nothing", "is its name right?")],
)
def test_unknown_contestants_are_refused_with_a_remedy(name, word):
    with pytest.raises(BadInput, match=word):
        contestants.contestant(name)
