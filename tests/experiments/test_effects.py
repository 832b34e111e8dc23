"""What the records of an experiment say, and the verdict, on known answers and against the comparison table."""

from dataclasses import replace
from statistics import geometric_mean

import pytest

from bench.errors import BadInput
from bench.experiments import effects
from bench.experiments.effects import document_of, measures_of, pairable, verdict
from bench.experiments.experiment import Arm, Cell, Experiment
from bench.render.experiment import experiment_lines, overview_row
from bench.render.experiment_costs import cost_lines, ratios
from bench.render.table.column import columns
from bench.render.table.differences import differences
from bench.storage.records import read_records
from tests.invoking import ROOT

LAPTOP = ROOT / "results" / "laptop"


def effect(difference, low, high, p):
    return [{"measure": "paired_colour", "difference": difference, "interval": [low, high], "p_holm": p}]


@pytest.mark.parametrize(
    ("expected", "found", "said"),
    [
        ("better", (-2, -3, -1, 0.01), "supported"),
        ("better", (2, 1, 3, 0.01), "refuted"),
        ("better", (-2, -5, 1, 0.2), "undecided"),
        ("better", (-0.7, -1.0, -0.4, 0.01), "undecided"),  # significant, and perhaps smaller than the margin
        ("better", (-0.2, -0.3, -0.1, 0.01), "refuted"),  # significant, and surely smaller
        ("better", (-0.1, -0.4, 0.2, 0.6), "refuted"),  # no effect as large as the margin
        ("worse", (2, 1, 3, 0.01), "supported"),
        ("worse", (-2, -3, -1, 0.01), "refuted"),
        ("worse", (0.1, -0.2, 0.4, 0.6), "refuted"),
        ("alike", (0.1, -0.2, 0.4, 0.6), "supported"),
        ("alike", (0.1, -0.2, 0.6, 0.6), "undecided"),
        ("alike", (2, 1, 3, 0.01), "refuted"),
        ("alike", (-2, -3, -1, 0.01), "refuted"),
        ("better", (-2, -3, -1, None), "undecided"),  # too few seeds
    ],
)
def test_the_verdict_on_known_effects(expected, found, said):
    """Of ΔE, which is the better the lower it is; 0.5 is the margin."""
    experiment = Experiment(question="", claim="", seeds=[0], margin=0.5, reference="a", arms={"a": Arm(), "b": Arm()})
    assert verdict(experiment, Arm(expected=expected), effect(*found), True) == said


def test_nothing_is_decided_before_all_runs_are_there():
    """Who looks after every seed finds something in the end."""
    experiment = Experiment(question="", claim="", seeds=[0], reference="a", arms={"a": Arm(), "b": Arm()})
    found = effect(-2, -3, -1, 0.01)
    assert verdict(experiment, Arm(expected="better"), found, False) == "undecided"
    assert verdict(experiment, Arm(expected="better"), found, True) == "supported"


def test_where_higher_is_better_a_higher_value_supports_better():
    made = {"question": "", "claim": "", "seeds": [0], "reference": "a", "arms": {"a": Arm(), "b": Arm()}}
    for key in ("exact_accuracy", "exact_accuracy_of_eyes"):
        found = effect(0.2, 0.1, 0.3, 0.01)[0] | {"measure": key}
        assert verdict(Experiment(measures=[key], **made), Arm(expected="better"), [found], True) == "supported"


def test_without_a_claim_nothing_is_said_and_one_refuted_part_refutes():
    assert effects.together([]) == effects.together(["supported", "undecided"]) == "undecided"
    assert effects.together(["supported", "undecided", "refuted"]) == "refuted"
    assert effects.together(["supported", "supported"]) == "supported"


@pytest.fixture(scope="module")
def of_laptop():
    """The committed runs as the answer to an experiment, with the records."""
    arms = {"diffusers-32": Arm(contestant="diffusers-32"), "scratch": Arm(expected="better")}
    experiment = Experiment(
        name="x", question="Which?", claim="scratch is better", seeds=list(range(7)), reference="diffusers-32",
        measures=["paired_colour", "exact_accuracy_of_eyes", "kid"], arms=arms,
    )  # fmt: skip
    records = read_records(LAPTOP)
    return experiment, records, document_of(experiment, records, {Cell("scratch", 6): "no memory"})


def test_an_effect_is_that_of_the_comparison_table(of_laptop):
    """Two ways to the same numbers: by the arms of an experiment, and by the columns of a table."""
    _, records, document = of_laptop
    made = {column.title: column for column in columns(records)}
    found = differences(columns(records))
    (arm,) = (arm for arm in document["arms"] if arm["name"] == "scratch")
    theirs = {each.measure.key: each for each in [*found.declared, *found.attributes]
              if {column.title for column in each.pair} == {"scratch", "diffusers-32"}}  # fmt: skip
    assert [each["measure"] for each in arm["effects"]] == ["paired_colour", "exact_accuracy_of_eyes", "kid"]
    for ours in arm["effects"]:
        other = theirs[ours["measure"]]
        sign = 1 if other.pair[0] is made["scratch"] or other.pair[0].title == "scratch" else -1
        assert ours["difference"] == pytest.approx(sign * float(other.found.mean))
        assert sorted(map(abs, ours["interval"])) == pytest.approx(
            sorted(map(abs, (float(other.found.low), float(other.found.high))))
        )
        assert ours["p"] == pytest.approx(other.p)
    assert document["comparisons"] == 3


def test_tests_that_are_still_to_be_made_count_in_the_correction(of_laptop):
    """So that nothing said now is taken back when they are made."""
    experiment, records, document = of_laptop
    third = experiment.model_copy(update={"arms": experiment.arms | {"twin-32": Arm(contestant="twin-32")}})
    more = document_of(third, records, {})
    assert more["comparisons"] == 6
    before, now = ([each["p_holm"] for each in made["arms"][1]["effects"]] for made in (document, more))
    smallest = min(each["p"] for each in more["arms"][1]["effects"])
    assert min(now) == pytest.approx(6 * smallest)
    assert all(later >= earlier for earlier, later in zip(before, now, strict=True))
    assert [each["p_holm"] for each in more["arms"][2]["effects"]] == [None] * 3


def test_what_the_models_cost_is_told_beside_the_reference(of_laptop):
    """The accounted numbers are those of the comparison table; a ratio of times is that of the same seeds."""
    _, records, document = of_laptop
    page = "\n".join(experiment_lines(document))
    (row,) = (line for line in page.splitlines() if line.startswith("| scratch | 1,"))
    ours, theirs = (next(r for r in records if r.run.contestant == name) for name in ("scratch", "diffusers-32"))
    work, other = (r.measurements.cost.flops_per_image.training for r in (ours, theirs))
    assert f"| {work / 1e9:.3g} GFLOP (× {work / other:.2f}) |" in row
    arms = document["arms"]
    seconds = [arm["costs"]["seconds_per_image"] for arm in arms]
    assert ratios(document, arms)["training time of an image"] == pytest.approx(
        [1, geometric_mean(seconds[1][seed] / seconds[0][seed] for seed in seconds[0])]
    )


def test_what_the_models_cost_is_not_told_where_all_are_alike(of_laptop):
    experiment, records, _ = of_laptop
    arms = {"scratch": experiment.arms["scratch"], "again": experiment.arms["scratch"]}
    alike = document_of(experiment.model_copy(update={"arms": arms, "reference": "scratch"}), records, {})
    assert cost_lines(alike) == []
    assert ratios(alike, alike["arms"]) == {}


def test_a_budget_is_a_measure(of_laptop):
    """The primary measure of the model that was finished at a budget, where the runs of an experiment have it."""
    experiment, records, _ = of_laptop
    key = "paired_colour_at_pflop_0_0102"
    asked = experiment.model_copy(update={"measures": [key], "sizes": {"budgets": ["images=24000", "pflop=0.0102"]}})
    (measure,) = measures_of(asked)
    assert 5 < measure.value(records[-1]) < 30
    with pytest.raises(BadInput, match=f"unknown measure of experiment 'x' '{key}'"):
        measures_of(asked.model_copy(update={"sizes": {"budgets": ["images=24000"]}}))


def test_the_page_names_what_failed_and_what_is_missing(of_laptop):
    _, _, document = of_laptop
    page = "\n".join(experiment_lines(document))
    assert "**scratch, seed 6 failed:** no memory" in page
    assert "**Missing:** 1 run, about" in page
    assert "`python -m bench run --experiment x.toml`" in page
    assert "| scratch | `scratch`, `matched` | 6 of 7, 1 failed |" in page
    claim, said, told, seeds, comparisons = overview_row(document)
    assert (claim, seeds, comparisons) == ("scratch is better", "6", "3")
    assert said == f"**{document['verdict']}**"
    assert told.endswith("scratch − diffusers-32")


def changed_runs(records, **changes):
    """The records with their runs of `scratch` changed."""
    ours = {record.run.name: replace(record.run, **changes) for record in records if record.run.contestant == "scratch"}
    return [record.model_copy(update={"run": ours.get(record.run.name, record.run)}) for record in records]


def test_runs_of_other_data_are_no_pair(of_laptop):
    experiment, records, _ = of_laptop
    document = document_of(experiment, changed_runs(records, data_hash="0" * 64), {})
    assert document["arms"][1]["effects"][0]["differences"] == {}
    assert document["verdict"] == "undecided"
    assert "–" in "\n".join(experiment_lines(document))


def test_records_of_the_same_name_that_the_file_did_not_ask_for_are_left_out(of_laptop):
    experiment, records, _ = of_laptop
    fewer = changed_runs(records, sizes=replace(records[-1].run.sizes, samples=7))
    page = "\n".join(experiment_lines(document_of(experiment, fewer, {})))
    assert "**Left out, of another configuration:** scratch-matched-seed0 (sizes.samples: 7, not 2048)" in page
    assert "| scratch | `scratch`, `matched` | 0 of 7 |" in page


def test_runs_of_another_precision_or_scored_by_another_classifier_are_no_pair(of_laptop):
    experiment, records, _ = of_laptop
    document = document_of(experiment, changed_runs(records, mixed_precision="bf16"), {})
    assert document["arms"][1]["effects"][0]["differences"] == {}
    ours, theirs = (next(r for r in records if r.run.contestant == name) for name in ("scratch", "diffusers-32"))
    kid = measures_of(experiment)[2]
    assert pairable(kid, ours, theirs)
    (name,) = ours.measurements.distance
    other = ours.measurements.distance[name].model_copy(update={"weights_sha256": "0" * 64})
    measurements = ours.measurements.model_copy(update={"distance": {name: other}})
    rescored = ours.model_copy(update={"measurements": measurements})
    assert not pairable(kid, rescored, theirs)
    assert pairable(measures_of(experiment)[0], rescored, theirs)
