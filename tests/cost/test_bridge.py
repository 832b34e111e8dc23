"""What each change from the hand-written UNet to the library's costs."""

import io
from dataclasses import asdict

import pytest
from PIL import Image

from bench.config import BRIDGE, CHANGES
from bench.cost import bridge
from bench.cost.bridge import compared, models, pairs_of
from bench.cost.turns import PARTS, Timing
from bench.render.bridge import CHANGES as IN_WORDS
from bench.render.bridge import bridge_lines, bridge_title
from bench.render.images.bridge import draw_bridge
from scratch_unet.architecture import CHANGES as FIELDS
from scratch_unet.architecture import architecture_of


@pytest.mark.parametrize("change", CHANGES)
def test_a_pair_differs_in_the_change_and_nothing_else(change):
    for before, after in pairs_of(change).values():
        ours, theirs = asdict(architecture_of(before)), asdict(architecture_of(after))
        assert {field for field in ours if ours[field] != theirs[field]} == {*FIELDS[change]}


def test_every_model_of_the_bridge_is_there_once():
    assert sorted(models(CHANGES)) == sorted(["scratch", "twin-32", *BRIDGE])
    assert IN_WORDS.keys() == {*CHANGES}


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """Of two changes, by real steps and accounts."""
    timing = Timing("smoke", 7, 1, "cpu", "contiguous", tmp_path_factory.mktemp("cache"))
    return bridge.bridge(timing, ["diffusers-32", "scratch-best"], ("tau", "heads"))


@pytest.mark.slow
def test_each_change_is_measured_and_accounted_first_and_last(document):
    changed = {"scratch+tau", "twin-32-tau", "scratch+heads", "twin-32-heads"}
    assert document["models"].keys() == {"scratch", "twin-32", "diffusers-32", "scratch-best"} | changed
    assert document["models"]["scratch"]["full"]["parameters"] == 76_470_531
    assert document["models"]["twin-32"]["full"]["parameters"] == 188_511_363
    assert document["models"]["scratch"]["here"]["parameters"] == 1_140_003  # as in the runs: 98 attributes
    assert all(seconds > 0 for model in document["models"].values() for seconds in model["seconds"].values())
    assert document["changes"]["tau"]["first"]["full"]["parameters"] > 1.5
    heads = document["changes"]["heads"]
    assert heads["first"]["full"] == {"parameters": 1, "training_gflop": 1, "peak_mib": pytest.approx(1, abs=0.01)}
    assert [places["first"]["changes_nothing_here"] for places in document["changes"].values()] == [False, True]
    assert document["together"]["full"]["parameters"] == pytest.approx(188_511_363 / 76_470_531)
    assert document["together"]["seconds"]["step"]["median"] > 1.5  # it is some six times as long
    assert document["others"]["diffusers-32"]["full"]["parameters"] == document["together"]["full"]["parameters"]
    best = document["among_others"]["scratch-best"]
    assert (best["before"], best["after"]) == ("diffusers-32", "scratch-best")
    assert best["full"]["peak_mib"] < 1 / 3


def made_up_comparison(ratio, nothing=False):
    """Everything so many times as much."""
    counted = {"parameters": ratio, "training_gflop": ratio, "peak_mib": ratio}
    step = {"median": ratio, "low": ratio - 0.1, "high": ratio + 0.1}
    pair = {"before": "scratch", "after": "twin-32"}
    return pair | {"here": counted, "full": counted, "seconds": {"step": step}, "changes_nothing_here": nothing}


@pytest.fixture
def made_up():
    return {
        "environment": {"device": "a CPU", "threads": 2, "versions": {"torch": "2.14"}},
        "preset": "laptop", "image_size": 32, "scale": 0.125, "batch_size": 16, "memory_format": "channels_last",
        "rounds": 7, "steps_per_round": 4, "load_average": 0.04, "full_batch_size": 128,
        "together": made_up_comparison(5.0), "others": {"mine": made_up_comparison(7.0)},
        "among_others": {"hers": made_up_comparison(0.5) | {"before": "mine"}},
        "changes": {
            "tau": {"first": made_up_comparison(2.0), "last": made_up_comparison(1.5)},
            "heads": {"first": made_up_comparison(3.0, True), "last": made_up_comparison(1.2, True)},
        },
    }  # fmt: skip


def test_the_table_says_first_and_last_their_products_and_what_does_nothing(made_up):
    about, _, head, _, tau, heads, every, other, among, _, how = bridge_lines(made_up)
    assert "From `scratch` to `twin-32`, which is the library's model by hand, 2 of the eight changes" in about
    assert head.count("|") == 6
    assert tau.split(" | ")[1] == "× 2.00 / × 1.50"
    assert tau.split(" | ")[-1] == "× 2.00 (1.90 to 2.10) / × 1.50 (1.40 to 1.60) |"
    assert "*" in heads.split(" | ")[0]
    assert "*" not in tau
    assert every.split(" | ")[1] == "× 5.00"
    assert other.startswith("| mine instead of scratch | × 7.00 | ")
    assert among.startswith("| hers instead of mine | × 0.50 | ")
    assert "*: at the timed size both models are the same" in how


def test_the_product_is_of_all_eight_or_not_there(made_up):
    made_up["changes"] |= {change: made_up["changes"]["tau"] for change in CHANGES if change not in ("tau", "heads")}
    about, _, _, _, *rows, _, _ = bridge_lines(made_up)
    assert ", in eight changes." in about
    (product,) = (row for row in rows if row.startswith("| product of the eight | "))
    assert product.split(" | ")[1] == f"× {2.0**7 * 3:.2f} / × {1.5**7 * 1.2:.2f}"


def test_without_changes_models_alone_are_held_against_each_other(made_up):
    about, _, head, _, every, other, among, _, how = bridge_lines(made_up | {"changes": {}})
    assert about.startswith("A row has the costs of its first model, divided by those of its second.")
    assert head.startswith("| models | ")
    assert every.startswith("| twin-32 instead of scratch | × 5.00 | ")
    assert (other[:6], among[:6]) == ("| mine", "| hers")
    assert head.endswith("| time of a step | arithmetic a second |")
    assert among.endswith("| × 0.50 (0.40 to 0.60) | × 1.00 (0.83 to 1.25) |")


def test_a_heading_says_what_it_is_about(made_up):
    every = made_up | {"changes": dict.fromkeys(CHANGES)}
    assert bridge_title(every) == "what each change of the architecture costs"
    assert bridge_title(made_up) == "what some changes of the architecture cost"
    assert bridge_title(made_up | {"changes": {}, "others": {"mine": {}, "hers": {}}}) == "the costs of mine, hers"
    long = {"diffusers_unet.peers.transformer:build": {}, "diffusers_unet.peers.extra_channels:build": {}}
    assert bridge_title(made_up | {"changes": {}, "others": long}) == (
        "the costs of …transformer:build, …extra_channels:build"
    )


def test_at_the_full_size_arithmetic_is_shown_once(made_up):
    _, _, head, _, tau, *_ = bridge_lines(made_up)
    assert (head.count("training GFLOP"), tau.count("× 2.00 / × 1.50")) == (1, 3)
    for places in made_up["changes"].values():
        for pair in places.values():
            pair["here"] = pair["here"] | {"training_gflop": 2.0 * pair["here"]["training_gflop"]}
    _, _, head, _, tau, *_ = bridge_lines(made_up)
    assert (head.count("training GFLOP"), tau.count("× 4.00 / × 3.00")) == (2, 1)


def test_the_picture_has_a_mark_for_first_and_for_last(made_up):
    with Image.open(io.BytesIO(draw_bridge(made_up))) as picture:
        colors = picture.convert("RGB").getcolors(maxcolors=2**24)
    assert {(11, 83, 148), (224, 130, 20)} <= {color for _, color in colors}


def test_a_comparison_divides_after_by_before():
    accounts = {"a": {"full": {"parameters": 10, "peak_mib": 4.0}}, "b": {"full": {"parameters": 30, "peak_mib": 2.0}}}
    seconds = {name: {part: [value] * 7 for part in PARTS} for name, value in (("a", 2.0), ("b", 5.0))}
    found = compared("a", "b", accounts, seconds)
    assert found["full"] == {"parameters": 3, "peak_mib": 0.5}
    assert found["seconds"]["step"]["median"] == 2.5
