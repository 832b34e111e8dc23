"""What each part adds, on known answers, and on the runs of the laptop under other names."""

import itertools
from dataclasses import replace
from math import prod
from statistics import fmean

import pytest

from bench.errors import BadInput
from bench.experiments.effects import document_of, verdict
from bench.experiments.experiment import Arm, Experiment, check_parts, find
from bench.experiments.parts import beyond_sum, multiples, parts_of, shares
from bench.render.experiment import experiment_lines, overview_row
from bench.render.experiment_parts import part_lines
from bench.render.images import waterfall
from bench.storage.records import read_records
from scratch_unet.architecture import architecture_of
from tests.invoking import ROOT

NONE, A, B, BOTH = frozenset(), frozenset("a"), frozenset("b"), frozenset("ab")
NAMES = {NONE: "scratch", A: "scratch+tau", B: "scratch+heads", BOTH: "diffusers-32"}


def test_parts_that_do_not_depend_on_each_other_have_what_they_add():
    worth = {"a": 1.0, "b": -2.0, "c": 5.0}
    every = [frozenset(some) for n in range(4) for some in itertools.combinations(worth, n)]
    assert shares({parts: 7 + sum(worth[part] for part in parts) for parts in every}) == pytest.approx(worth)


def test_what_two_parts_add_together_is_shared():
    assert shares({NONE: 0, A: 1, B: 2, BOTH: 5}) == {"a": 2, "b": 3}


def experiment(arms, **more):
    measures = ["paired_colour", "exact_accuracy"]
    asked = {"name": "x", "question": "Why?", "claim": "so", "seeds": list(range(6)), "reference": "scratch"}
    return Experiment(**asked | more, measures=measures, arms=arms)


@pytest.mark.parametrize(
    "arms",
    [
        {"scratch": Arm(), "b": Arm(parts=["a", "b"])},
        {"scratch": Arm(), "b": Arm(parts=["a"]), "c": Arm(parts=["a"])},
        {"scratch": Arm(parts=["a"]), "b": Arm()},
    ],
)
def test_every_combination_is_one_arm_and_the_reference_has_none(arms):
    with pytest.raises(BadInput, match="make one arm for each of their combinations, 2 to the power of"):
        check_parts(experiment(arms))


def test_what_is_expected_of_parts_together_needs_two():
    with pytest.raises(BadInput, match="name two parts or more"):
        check_parts(experiment({"scratch": Arm(), "b": Arm(parts=["a"])}, together="better"))


def test_the_bridge_has_every_combination_and_its_arms_are_what_their_parts_say():
    """Parts have the same fields wherever they come, so the same parts make the same architecture."""
    bridge = find("bridge")
    ends = {end: architecture_of(bridge.arms[end].contestant) for end in ("by hand", "all: the library's")}
    single = {arm.parts[0]: architecture_of(arm.contestant) for arm in bridge.arms.values() if len(arm.parts) == 1}
    ours, theirs = (vars(made) for made in ends.values())
    fields = {part: {f for f in ours if ours[f] != vars(made)[f]} for part, made in single.items()}
    for arm in bridge.arms.values():
        changed = set().union(*(fields[part] for part in arm.parts))
        assert vars(architecture_of(arm.contestant)) == {f: theirs[f] if f in changed else ours[f] for f in ours}
    assert set().union(*fields.values()) == {f for f in ours if ours[f] != theirs[f]}


@pytest.fixture(scope="module")
def document():
    """The runs of two contestants, each also under the name of an arm between them."""
    records = read_records(ROOT / "results" / "rate-0.003")
    ours, theirs = ([r for r in records if r.run.contestant == name] for name in ("scratch", "diffusers-32"))
    between = [r.model_copy(update={"run": replace(r.run, contestant=NAMES[A])}) for r in ours]
    between += [r.model_copy(update={"run": replace(r.run, contestant=NAMES[B])}) for r in theirs]
    arms = {
        name: Arm(contestant=name, parts=sorted(parts), sizes={"learning_rate": 0.003}) for parts, name in NAMES.items()
    }
    return document_of(experiment(arms), ours + theirs + between, {})


def test_the_shares_sum_to_the_whole_difference_and_the_multiples_to_the_whole_ratio(document):
    """Here part a does nothing, and part b everything."""
    a, b = document["parts"]
    whole = document["arms"][-1]
    assert a["effects"][0]["difference"] == pytest.approx(0)
    assert b["effects"][0]["differences"] == pytest.approx(whole["effects"][0]["differences"])
    assert b["effects"][0]["interval"] == pytest.approx(whole["effects"][0]["interval"])
    costs = [arm["costs"] for arm in document["arms"]]
    for kind in ("parameters", "flop_per_image", "peak_bytes"):
        assert a["costs"][kind] == pytest.approx(1)
        assert prod(part["costs"][kind] for part in (a, b)) == pytest.approx(costs[-1][kind] / costs[0][kind])
    assert b["costs"]["seconds_per_image"] > 3


def test_a_seed_that_one_arm_lacks_is_left_out_and_so_are_times_of_unlike_machines():
    """Of the arms' differences and costs alone; part b adds nothing in the seed that a lacks."""
    costs = {"parameters": None, "flop_per_image": 2.0, "peak_bytes": 3, "seconds_per_image": {"0": 1.0, "1": 4.0}}
    arms = {
        name: {
            "effects": [{"measure": "paired_colour", "differences": {"0": len(parts), "1": 5}}] if parts else [],
            "costs": costs | {"machines": {"0": "x", "1": "x" if parts else "y"}},
        }
        for parts, name in NAMES.items()
    }
    del arms[NAMES[A]]["effects"][0]["differences"]["1"]
    declared = {name: Arm(contestant=name, parts=sorted(parts)) for parts, name in NAMES.items()}
    a, b = parts_of(experiment(declared).model_copy(update={"measures": ["paired_colour"]}), arms)
    assert [part["effects"][0]["differences"] for part in (a, b)] == [{"0": 1}, {"0": 1}]
    assert a["costs"] == {"parameters": None, "flop_per_image": 1, "peak_bytes": 1, "seconds_per_image": 1}
    assert multiples({parts: arms[name] for parts, name in NAMES.items()}, "seconds_per_image") == {"a": 1, "b": 1}


def test_p_is_corrected_over_all_parts_and_measures(document):
    effects = [effect for part in document["parts"] for effect in part["effects"]]
    assert len(effects) == 4
    least = min(effects, key=lambda each: each["p"])
    assert least["p_holm"] == pytest.approx(min(1, 4 * least["p"]))


def test_the_page_has_a_row_for_each_part_and_one_for_all(document):
    a, b, every = (
        line.split(" | ") for line in experiment_lines(document) if line.startswith(("| a |", "| b |", "| all parts |"))
    )
    whole = document["arms"][-1]["effects"][0]["difference"]
    assert (a[1], b[1].split()[0], every[1]) == ("0.00 (0.00 to 0.00)", f"{whole:.2f}", f"{whole:.2f}")
    assert a[2] == b[2] == "6"
    assert a[7:9] == ["1.00", "1.00"]
    ours, *_, theirs = (arm["costs"]["parameters"] for arm in document["arms"])
    assert every[7] == b[7] == f"{theirs / ours:.2f}"


def made_up(interactions):
    """Parts a and b, each of which lowers ΔE by one, and together by two and what the interaction says, by seed."""
    alone, both = dict.fromkeys(map(str, range(6)), -1.0), {str(n): -2.0 + each for n, each in enumerate(interactions)}
    found = {NONE: {}, A: alone, B: alone, BOTH: both}
    return {
        name: {"effects": [{"measure": "paired_colour", "differences": found[parts]}] if parts else []}
        for parts, name in NAMES.items()
    }


def test_the_interaction_of_two_parts_is_what_they_add_beyond_their_sum():
    declared = {name: Arm(contestant=name, parts=sorted(parts)) for parts, name in NAMES.items()}
    asked = experiment(declared).model_copy(update={"measures": ["paired_colour"]})
    (found,) = beyond_sum(asked, made_up([-0.5, -0.7, -0.3, -0.5, -0.6, -0.4]))
    assert found["difference"] == pytest.approx(-0.5)
    assert found["p_holm"] < 0.01
    assert (verdict(asked, "better", [found]), verdict(asked, "worse", [found])) == ("supported", "refuted")
    (none,) = beyond_sum(asked, made_up([-0.5, 0.5, -0.3, 0.3, -0.4, 0.4]))
    assert (none["difference"], verdict(asked, "better", [none])) == (pytest.approx(0), "undecided")
    (short,) = beyond_sum(asked, made_up([-0.5, -0.7, -0.3, -0.5, -0.6]))  # a seed that one arm lacks
    assert (len(short["differences"]), verdict(asked, "better", [short])) == (5, "undecided")


def test_what_is_claimed_of_parts_together_decides_and_is_told(document):
    """Part a does nothing here, so both together do what b does: no interaction, and no verdict without a margin."""
    asked = Experiment(**document["experiment"] | {"together": "better", "margin": 0.5})
    assert document["beyond"]["effects"][0]["difference"] == pytest.approx(0)
    assert verdict(asked, asked.together, document["beyond"]["effects"]) == "refuted"  # surely smaller than 0.5
    told = overview_row(document | {"experiment": asked.model_dump(mode="json")})
    assert told[2].endswith("all parts together, less the sum of each alone")
    assert "| all parts together, less the sum of each alone | difference (95 %) |" in "\n".join(part_lines(document))


def test_the_waterfall_goes_from_the_reference_to_all_parts(document, monkeypatch):
    drawn = []
    monkeypatch.setattr(waterfall, "steps", lambda panel, marks, words, lower: drawn.append((marks, words)))
    waterfall.draw_waterfall(document)
    (marks, words), *costs = drawn
    reference, *_, whole = document["arms"]
    assert marks[0] == pytest.approx(fmean(reference["values"]["paired_colour"].values()))
    assert marks[-1] == pytest.approx(fmean(whole["values"]["paired_colour"].values()))
    assert words == ["0.00", f"{whole['effects'][0]['difference']:.2f}"]
    assert [round(marks[-1], 2) for marks, _ in costs[:2]] == [
        round(whole["costs"][kind] / reference["costs"][kind], 2) for kind in ("flop_per_image", "peak_bytes")
    ]


def test_without_a_seed_of_all_arms_nothing_is_said_of_the_parts(document):
    asked = Experiment(**document["experiment"])
    assert part_lines(document_of(asked, [], {})) == []
