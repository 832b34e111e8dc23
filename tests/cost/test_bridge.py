"""What each change from the hand-written UNet to the library's costs."""

import io
from dataclasses import asdict

import pytest
from PIL import Image

from bench.config import BRIDGE, CHANGES
from bench.cost import bridge
from bench.cost.bridge import compared, models, pairs_of
from bench.cost.turns import PARTS, Asked
from bench.render.bridge import CHANGES as IN_WORDS
from bench.render.bridge import bridge_lines
from bench.render.images.bridge import draw_bridge
from scratch_unet.architecture import CHANGES as FIELDS
from scratch_unet.architecture import architecture_of


@pytest.mark.parametrize("change", CHANGES)
def test_a_pair_differs_in_the_change_and_nothing_else(change):
    for before, after in pairs_of(change).values():
        ours, theirs = asdict(architecture_of(before)), asdict(architecture_of(after))
        assert {field for field in ours if ours[field] != theirs[field]} == {*FIELDS[change]}


def test_every_model_of_the_bridge_is_there_once():
    assert sorted(models()) == sorted(["scratch", "twin-32", *BRIDGE])
    assert IN_WORDS.keys() == {*CHANGES}


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """Of two changes, by real steps and accounts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bridge, "CHANGES", ("tau", "heads"))
        return bridge.bridge(Asked("smoke", 7, 1, "cpu", "contiguous", tmp_path_factory.mktemp("cache")))


@pytest.mark.slow
def test_each_change_is_measured_and_accounted_first_and_last(document):
    changed = {"scratch+tau", "twin-32-tau", "scratch+heads", "twin-32-heads"}
    assert document["models"].keys() == {"scratch", "twin-32"} | changed
    assert document["models"]["scratch"]["full"]["parameters"] == 76_470_531
    assert document["models"]["twin-32"]["full"]["parameters"] == 188_511_363
    assert all(seconds > 0 for model in document["models"].values() for seconds in model["seconds"].values())
    tau, heads = document["changes"].values()
    assert tau["first"]["full"]["parameters"] > 1.5
    assert heads["first"]["full"] == {"parameters": 1, "training_gflop": 1, "peak_mib": pytest.approx(1, abs=0.01)}
    assert document["together"]["full"]["parameters"] == pytest.approx(188_511_363 / 76_470_531)
    assert document["together"]["seconds"]["step"]["median"] > 1.5  # it is some six times as long
    lines = bridge_lines(document)
    assert [line.count("|") for line in lines if line.startswith("| ")] == [7] * 6
    with Image.open(io.BytesIO(draw_bridge(document))) as picture:
        assert picture.width > 1000


def test_a_comparison_divides_after_by_before():
    accounts = {"a": {"full": {"parameters": 10, "peak_mib": 4.0}}, "b": {"full": {"parameters": 30, "peak_mib": 2.0}}}
    seconds = {name: {part: [value] * 7 for part in PARTS} for name, value in (("a", 2.0), ("b", 5.0))}
    found = compared("a", "b", accounts, seconds)
    assert found["full"] == {"parameters": 3, "peak_mib": 0.5}
    assert found["seconds"]["step"]["median"] == 2.5
