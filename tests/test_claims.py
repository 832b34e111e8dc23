"""What the pages say of experiments, and of `scratch-best`, is what their records and answers say."""

import re
from statistics import fmean, stdev

import numpy as np
import pytest

from bench.quality.significance import holm, paired_difference
from bench.render.experiment import overview_row, read_answer
from bench.render.experiment_effect import writer
from bench.storage.records import read_record
from tests.pages import (
    COST,
    DETAILS,
    README,
    RESULTS,
    WALK,
    between,
    colours,
    plain,
    read,
    row,
)


def test_what_it_says_of_tau_is_what_the_experiment_found():
    """Of a larger one, and of normalised tokens."""
    answer, text = read("claims", "normalised-tokens", "experiment.json"), plain(DETAILS)
    small, normal, larger = answer["arms"]
    assert normal["verdict"] == "supported"
    assert [small["missing"], normal["missing"], larger["missing"]] == [[], [], []]
    errors = [arm["values"]["paired_colour"].values() for arm in (small, normal, larger)]
    without, ours, theirs = (f"{fmean(each):.2f} ± {stdev(each):.2f}" for each in errors)
    for arm, words in (
        (larger, f"is {theirs} instead of {without}, the difference"),
        (normal, f"has {ours}, the difference"),
    ):
        effect = arm["effects"][0]
        numbers = "−{} (−{} to −{}".format(
            *(f"{abs(each):.2f}" for each in (effect["difference"], *effect["interval"]))
        )
        assert max(effect["difference"], *effect["interval"]) < 0
        assert f"{words} {numbers}" in text
        assert all(numbers in plain(page) for page in (README, WALK)[arm is larger :])
    assert f"−0.14, p by Holm {normal['effects'][0]['p_holm']:.4f})" in text
    own = read("claims", "larger-tau", "experiment.json")["arms"][1]
    assert (own["verdict"], own["effects"][0]["difference"]) == (
        "undecided",
        pytest.approx(larger["effects"][0]["difference"]),
    )
    p = f"(p by Holm {own['effects'][0]['p_holm']:.4f})"
    assert "A [larger Tau](results/laptop/README.md#tau) is [undecided](results/claims/larger-tau" in README
    assert f"leaves it undecided {p}" in text
    assert normal["costs"]["parameters"] == small["costs"]["parameters"]
    work = [arm["costs"]["flop_per_image"] for arm in (larger, small)]
    assert f"At {work[0] / work[1]:.2f} times the arithmetic" in text
    full = read("bridge", "bridge.json")["models"]
    more = full["scratch+tau"]["full"]["parameters"] - full["scratch"]["full"]["parameters"]
    tau = [[c for c in read("anatomy", "anatomy.json")["contestants"] if c["name"] == name][0]["parameters"]["tau"]
           for name in ("diffusers-32", "scratch")]  # fmt: skip
    assert f"makes {more / 1e6:.0f}M parameters more, {(tau[0] - tau[1]) / 1e6:.0f}M of them in Tau" in text


def test_what_it_says_of_scratch_best_was_measured():
    """Means and difference of the measure that decides; time by turns; memory and parameters."""
    answer, text = read("claims", "scratch-best", "experiment.json"), plain(README)
    theirs, ours = answer["arms"]
    assert (ours["verdict"], ours["missing"], theirs["missing"]) == ("supported", [], [])
    colour = {int(seed): error for seed, error in theirs["values"]["paired_colour"].items()}
    assert colour == pytest.approx(colours("laptop", "diffusers-32"))  # the very runs of the comparison
    both = [arm["values"]["paired_colour"].values() for arm in (ours, theirs)]
    ours_is, theirs_is = (f"{fmean(errors):.2f} ± {stdev(errors):.2f}" for errors in both)
    effect = ours["effects"][0]
    difference, low, high = (f"−{-each:.2f}" for each in (effect["difference"], *effect["interval"]))
    p = "below 0.0001" if effect["p_holm"] < 1e-4 else f"{effect['p_holm']:.4f}"
    said = f"its ΔE is {ours_is}, that of `diffusers-32` {theirs_is}, the difference {difference}"
    assert f"{said} (95 % interval {low} to {high}, p by Holm {p})" in text
    assert f"[{difference} ({low} to {high})]" in plain(WALK)
    turns = read("bridge", "bridge-scratch-best.json")
    pair = turns["among_others"]["scratch-best"]
    assert pair["before"] == "diffusers-32"
    step, peak = pair["seconds"]["step"], pair["here"]["peak_mib"]
    assert step["high"] < 1 / 3
    told = "`diffusers-32` ({low:.2f} to {high:.2f}) and".format(**step)
    mine = turns["others"]["scratch-best"]["seconds"]["step"]
    assert told + " {median:.2f} times as long as one of `scratch` ({low:.2f} to {high:.2f}).".format(**mine) in plain(
        COST
    )
    told = "{median:.2f} times as long as one of `diffusers-32` ({low:.2f} to {high:.2f}, one session)"
    assert told.format(**step) in text
    assert f"the predicted peak memory is {peak:.2f} times as large." in text
    parameters = turns["models"]["scratch-best"]["full"]["parameters"]
    assert all(f"{parameters / 1e6:.1f}M parameters" in plain(page) for page in (README, WALK))


def test_after_equal_compute_scratch_best_is_no_better_than_scratch():
    """By the tables, and by the runs in pairs of seeds."""
    name = "paired colour difference ΔE after equal compute (0.0102 PFLOP) ↓"
    ours = row(name, (RESULTS / "claims" / "scratch-best" / "table.md").read_text())[0]
    theirs = row(name)[0]
    assert f"16,800 images) ΔE is {ours}, that of `scratch` {theirs} (128 samples a seed;" in plain(DETAILS)
    assert f"both have {ours.split()[0]}." in README
    found = [at_equal_compute(*each) for each in (("claims/scratch-best", "scratch-best"), ("laptop", "scratch"))]
    between = paired_difference(np.array([found[0][seed] - found[1][seed] for seed in range(6)]))
    assert f"paired by seed {abs(between.mean):.2f}, −{-between.low:.2f} to {between.high:.2f})" in plain(DETAILS)


def at_equal_compute(folder, name):
    """ΔE of every seed after the compute that all had."""
    records = [read_record(path) for path in (RESULTS / folder / "records").glob(f"{name}-matched-seed*.json")]
    points = {
        r.run.seed: next(p for p in r.measurements.curve if "pflop=0.0102" in p.budgets) for r in records
    }  # fmt: skip
    return {seed: point.paired.colour.value for seed, point in points.items()}


def test_the_trials_that_led_to_scratch_best_are_those_of_its_file():
    trials, shown = read("claims", "scratch-best", "trials.json"), between("trials", DETAILS)[2:]
    assert f"{len(trials)} trials" in plain(DETAILS)
    assert [line.strip("| ").split(" | ")[1:] for line in shown] == [
        [f"{t['learning_rate']:g}", f"{t['validation_loss']:.4f}", f"{t['paired_colour']['value']:.2f}"] for t in trials
    ]
    assert [re.findall(r"`(\w+)`", line) for line in shown] == [[*trial["changes_of_scratch"]] for trial in trials]


def test_runs_of_one_seed_at_other_sizes_differ_as_it_says():
    again, before = colours("claims/noise-level", "scratch"), colours("laptop", "scratch")
    assert f"ΔE is {fmean(again.values()):.2f} there, not {fmean(before.values()):.2f}." in plain(DETAILS)
    most = max(abs(again[seed] - value) for seed, value in before.items())
    assert f"(150 steps, not 38); ΔE of one seed differs by up to {most:.1f}." in plain(DETAILS)


EXACT = ("attribute accuracy, exact ↑", "(exact: {}, not {})")
BESIDE = {  # what the measure that decides does not show: rows of its table, changed arm first, and how they are said
    "noise-level": [("colour difference to the true picture, ΔE ↓", "(ΔE {})")],
    "pixel-range": [EXACT],
    "too-much-noise": [("background: stray pixels ↓", "({}, not {})"), EXACT],
}
MEASURES = {"paired_colour": "ΔE: ", "stray_pixels": "stray pixels: "}


def means_of(answer):
    """What the README says first: both means, or of two parts together what one of them does with and without."""
    key, arms = answer["measures"][0]["key"], answer["arms"]
    write = writer(key)
    if answer["experiment"]["together"]:
        without, with_heads, more, both = (fmean(arm["values"][key].values()) for arm in arms)
        for name in ("tokens-one-head", "tokens-four-heads"):
            assert [e["p"] > 0.05 for e in read("claims", name, "experiment.json")["arms"][1]["effects"]] == [True], (
                name
            )
        return f"{write(both - with_heads)} with four, {write(more - without)} with one, neither beyond chance"
    theirs, ours = (
        write(fmean(arm["values"][key].values()))
        for arm in sorted(arms, key=lambda arm: (not arm["is_reference"], arm["expected"] is None))[:2]
    )
    return f"{ours} instead of {theirs}"


def test_its_claims_are_decided_by_the_experiments():
    """Verdict, measure, both means, difference and interval; none is left out that is decided."""
    shown = {
        re.search(r"results/claims/([\w-]+)/experiment\.md", line)[1]: line.strip("| ").split(" | ")[1:]
        for line in between("claims", README)[2:]
    }
    for name, (said, measured) in shown.items():
        answer = read("claims", name, "experiment.json")
        _, verdict, effect, seeds, _ = overview_row(answer)
        assert (said, seeds) == (verdict, "6"), name
        key = answer["measures"][0]["key"]
        assert measured.startswith(MEASURES[key] + means_of(answer)), name
        assert f"; {effect.split(': ')[-1].split(', ')[0]}" in measured, name
        table = (RESULTS / "claims" / name / "table.md").read_text()
        for label, words in BESIDE.get(name, []):
            assert words.format(*(cell.split(" ±")[0] for cell in row(label, table))) in measured, name
    answers = {path.parent.name: read_answer(path) for path in RESULTS.glob("claims/*/experiment.json")}
    decided = {name for name, answer in answers.items() if answer["verdict"] in ("supported", "refuted")}
    findings = {"equal-time", "larger-tau", "normalised-tokens", "scratch-best"}
    assert set(shown) == decided - findings


def test_what_it_says_could_be_chance_could_among_the_claims_of_all_experiments():
    """Holm's correction over the first measure of all of which something is claimed, run or not."""
    assert "corrected for the claims of all experiments, it could be chance" in plain(README)
    assert "corrected for all claims, it could be chance" in README
    claimed = {}
    for path in RESULTS.glob("claims/*/experiment.json"):
        answer = read_answer(path)
        claimed |= {(path.parent.name, a["name"]): a["effects"][0]["p"] for a in answer["arms"] if a["expected"]}
        if answer["experiment"]["together"]:
            claimed[path.parent.name, "together"] = answer["beyond"]["effects"][0]["p"]
    corrected = holm(np.array([1.0 if p is None else p for p in claimed.values()]))
    found = {name: p for (name, _), p in zip(claimed, corrected, strict=True)}
    assert 0.05 < found["normalised-tokens"] < 0.3
    assert 0.05 < found["tokens-and-heads"] < 0.3


def test_what_it_says_of_heads_is_what_the_experiment_has_left_open():
    answer = read("claims", "heads", "experiment.json")
    assert (answer["verdict"], [arm["missing"] for arm in answer["arms"]]) == ("undecided", [[]] * 4)
    (effect,) = (arm["effects"][0] for arm in answer["arms"] if arm["expected"])
    numbers = "{:.1f} ({:.1f} to {:.1f})".format(effect["difference"], *effect["interval"]).replace("-", "−")
    assert f"instead of four: colours {numbers}." in README
