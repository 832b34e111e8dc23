"""Every duty is told when it is broken, and only then: plug-ins with one fault each."""

import os

import pytest
import torch

from bench import contestants
from bench.duties.candidate import Candidate
from bench.duties.duties import has_other_sizes
from bench.duties.examine import DUTIES, examine
from bench.storage import weights as weights_module
from bench.storage.weights import commit_weights, committed_weights, keep_weights, read_weights

HERE = "tests.breaking_plug_in:build"
PLANTED = {  # the one duty that is not met, how bad that is, and words of its sentence
    f"{HERE}_raises": ("is_called", "broken", "ValueError: no such token (breaking_plug_in.py, line"),
    "tests.hostile_plug_in:build_that_exits": ("is_called", "broken", "it tried to end the process"),
    "tests.hostile_plug_in:build_that_exits_later": ("is_finite", "broken", "it tried to end the process"),
    "tests.hostile_plug_in:build_smaller": ("is_called", "broken", "(2, 3, 16, 15) instead of (2, 3, 16, 16)"),
    "tests.hostile_plug_in:build_nothing": ("is_called", "broken", "must build a torch.nn.Module"),
    "tests.plug_in:build_broken": ("is_finite", "broken", "2,304 of the 2,304 numbers it returns are NaN or Inf"),
    f"{HERE}_random": ("is_repeatable", "broken", "two equal calls differ"),
    f"{HERE}_unseeded": ("follows_the_seed", "broken", "the same seed gives other weights (last.weight)"),
    f"{HERE}_of_one_seed": ("follows_the_seed", "broken", "another seed gives the same weights"),
    f"{HERE}_with_an_unused_layer": ("learns_everywhere", "broken", "reaches unused.weight, unused.bias"),
    f"{HERE}_timeless": ("reacts_to_the_timestep", "broken", "another timestep changes nothing"),
    f"{HERE}_deaf_to_one": ("reacts_to_every_attribute", "broken", "change nothing: 3 (of 11)"),
    f"{HERE}_mixing": ("keeps_images_apart", "broken", "an image alone gives another prediction"),
    f"{HERE}_drawing": ("changes_nothing_else", "broken", "changes torch's random state:"),
    f"{HERE}_in_place": ("changes_nothing_else", "broken", "changes its argument 'noisy':"),
    f"{HERE}_hiding": ("is_saved_by_its_state_dict", "broken", "register what is missing as a buffer"),
    f"{HERE}_viewing": ("computes_in_channels_last", "warning", "view size is not compatible"),
    f"{HERE}_of_one_precision": ("computes_in_bf16", "warning", "dtype"),
    f"{HERE}_in_place_in_training": ("changes_nothing_else", "broken", "changes its argument 'timestep':"),
    f"{HERE}_settling": (
        "changes_nothing_else",
        "broken",
        "changes torch's precision of matrix products:",
    ),
    f"{HERE}_normalised": ("keeps_images_apart_in_training", "warning", "norm mixes the images of a batch"),
    f"{HERE}_mixing_in_training": ("keeps_images_apart_in_training", "warning", "in training, an image alone gives"),
    f"{HERE}_staying": (
        "goes_with_its_weights",
        "warning",
        "register it as a buffer, or make it on its inputs' device",
    ),
    f"{HERE}_keyword_only": (
        "is_called",
        "broken",
        "is called as (noisy, timestep, condition), by position: ",
    ),
    f"{HERE}_of_one_argument": ("is_called", "broken", "is called as (condition_width, image_size, scale), by pos"),
    f"{HERE}_small": ("has_other_sizes", "note", "not at full size (64×64, scale 1): "),
}
GATES = ("is_called", "is_finite", "is_repeatable")


def examined(name):
    return examine(Candidate(name, 11, 16, 1 / 32))


def unmet(name):
    """Status and sentence of every duty that is not met, by its name; those behind a gate are left out."""
    found = {f.duty.check.__name__: (f.status, f.sentence) for f in examined(name)}
    return {duty: told for duty, told in found.items() if told[0] not in ("ok", "unchecked")}


@pytest.mark.parametrize("name", PLANTED)
def test_a_plug_in_with_one_fault_breaks_one_duty(name):
    duty, status, words = PLANTED[name]
    (found,) = unmet(name).items()
    assert found[0] == duty
    assert found[1][0] == status
    assert words in found[1][1]


def test_layers_that_share_their_weights_break_nothing_and_are_kept(tmp_path):
    assert unmet("tests.plug_in:build_tied") == {}
    denoiser = contestants.build("tests.plug_in:build_tied", 11, 16, 1 / 32)
    keep_weights(tmp_path / "weights.safetensors", denoiser)
    kept = read_weights(tmp_path / "weights.safetensors")
    assert torch.equal(kept["again.weight"], denoiser.embed.weight)


def test_a_parameter_may_be_named_as_the_harness_names_what_lies_beside_committed_weights(tmp_path):
    denoiser = contestants.build(f"{HERE}_masked", 11, 16, 1 / 32)
    torch.nn.init.constant_(denoiser.codes, 0.5)
    path = tmp_path / "weights.safetensors"
    assert commit_weights(path, denoiser, torch.tensor([[1, 2]]), "{}")
    weights, codes, _ = committed_weights(path)
    assert torch.equal(weights["codes"], denoiser.codes)
    assert codes.tolist() == [[1, 2]]


def test_weights_too_large_for_a_repository_leave_none_of_an_earlier_run(tmp_path, monkeypatch):
    denoiser = contestants.build(f"{HERE}_masked", 11, 16, 1 / 32)
    path = tmp_path / "weights.safetensors"
    assert commit_weights(path, denoiser, torch.tensor([[1, 2]]), "{}")
    monkeypatch.setattr(weights_module, "COMMITTED_BYTES", 1)
    assert not commit_weights(path, denoiser, torch.tensor([[1, 2]]), "{}")
    assert not path.exists()


def test_every_duty_has_a_plug_in_that_breaks_it_alone_or_with_another():
    alone = {duty for duty, _, _ in PLANTED.values()}
    together = {"is_finite_in_training", "knows_the_unconditional"}  # the tests below
    assert alone | together == {duty.check.__name__ for duty in DUTIES}


def test_what_ignores_its_condition_breaks_two_duties():
    found = unmet(f"{HERE}_deaf")
    assert found.keys() == {"reacts_to_every_attribute", "knows_the_unconditional"}
    assert "0, 1, 2, 3, 4, 5 and 5 more (of 11)" in found["reacts_to_every_attribute"][1]


def test_an_error_of_its_own_is_a_sentence_and_the_other_duties_go_on():
    found = unmet(f"{HERE}_raises_with_gradients")
    assert found.keys() == {"learns_everywhere", "computes_in_channels_last", "computes_in_bf16"}
    assert all("ValueError: not while it trains (breaking_plug_in.py, line" in told for _, told in found.values())


def test_nan_in_training_breaks_all_that_trains():
    found = unmet(f"{HERE}_nan_in_training")
    training = {"is_finite_in_training", "learns_everywhere", "computes_in_channels_last", "computes_in_bf16"}
    assert found.keys() == training


@pytest.mark.parametrize("name", ["scratch", "diffusers-32"])
def test_ours_can_be_built_for_the_other_presets(name):
    assert has_other_sizes(Candidate(name, 11, 16, 1 / 32)) is None


@pytest.mark.parametrize("name", [name for name, told in PLANTED.items() if told[0] in GATES])
def test_what_needs_a_broken_duty_is_not_held_against_it(name):
    statuses = [found.status for found in examined(name)]
    broken = statuses.index("broken")
    assert statuses == ["ok"] * broken + ["broken"] + ["unchecked"] * (len(DUTIES) - broken - 1)


@pytest.mark.parametrize(
    "name",
    [
        "tests.plug_in:build",
        "tests.plug_in:build_curious",
        f"{HERE}_starting_at_zero",
        f"{HERE}_reading",
        f"{HERE}_masked",
        f"{HERE}_choosing",
    ],
)
def test_a_plug_in_that_is_as_it_should_be_meets_every_duty(name):
    assert unmet(name) == {}


def test_nothing_of_this_process_is_changed():
    drawn, leave = torch.get_rng_state(), os._exit
    for name in (f"{HERE}_random", f"{HERE}_of_one_seed", "tests.hostile_plug_in:build_that_exits_later"):
        examined(name)
    assert torch.equal(drawn, torch.get_rng_state())
    assert os._exit is leave
    assert (torch.get_default_dtype(), torch.is_grad_enabled()) == (torch.float32, True)
