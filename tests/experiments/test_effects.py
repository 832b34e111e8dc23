"""What the records of an experiment say, and the verdict, on known answers and against the comparison table."""

from dataclasses import replace
from statistics import geometric_mean

import pytest

from bench.config import DEFAULT_CONTESTANTS
from bench.errors import BadInput
from bench.experiments import effects
from bench.experiments.effects import document_of, measures_of, unlike, verdict
from bench.experiments.experiment import Arm, Cell, Experiment
from bench.render.experiment import experiment_lines, overview_row, time_of
from bench.render.experiment_costs import cost_lines, ratios
from bench.render.table.column import columns
from bench.render.table.differences import differences
from bench.render.table.measures import MEASURES
from bench.storage.records import read_records
from tests.invoking import ROOT

LAPTOP = ROOT / "results" / "laptop"
(BY_THE_CLASSIFIER,) = (each for each in MEASURES if each.key == "accuracy")


def effect(difference, low, high, p):
    found = {"measure": "paired_colour", "difference": difference, "interval": [low, high], "p_holm": p}
    return [found | {"differences": {"0": difference}}]


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
    assert verdict(experiment, expected, effect(*found)) == said


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ((-2, -3, -1, 0.01), "supported"),
        ((2, 1, 3, 0.01), "refuted"),
        ((0.5, 0.05, 0.95, 0.3), "undecided"),  # beyond the uncorrected interval alone, as it is for the other side
        ((-0.5, -0.95, -0.05, 0.3), "undecided"),
    ],
)
def test_without_a_margin_both_sides_need_a_significant_difference(found, said):
    experiment = Experiment(question="", claim="", seeds=[0], reference="a", arms={"a": Arm(), "b": Arm()})
    assert verdict(experiment, "better", effect(*found)) == said


def test_nothing_is_decided_before_all_runs_are_there():
    """Who looks after every seed finds something in the end, and runs that fail may be the worst."""
    experiment = Experiment(question="", claim="", seeds=[0], reference="a", arms={"a": Arm(), "b": Arm()})
    found = effect(-2, -3, -1, 0.01)
    assert verdict(experiment.model_copy(update={"seeds": [0, 1]}), "better", found) == "undecided"
    assert verdict(experiment, "better", found) == "supported"


def test_where_higher_is_better_a_higher_value_supports_better():
    made = {"question": "", "claim": "", "seeds": [0], "reference": "a", "arms": {"a": Arm(), "b": Arm()}}
    for key in ("exact_accuracy", "exact_accuracy_of_eyes"):
        found = effect(0.2, 0.1, 0.3, 0.01)[0] | {"measure": key}
        assert verdict(Experiment(measures=[key], **made), "better", [found]) == "supported"


def test_without_a_claim_nothing_is_said_and_one_refuted_part_refutes():
    assert effects.of_all([]) == effects.of_all(["supported", "undecided"]) == "undecided"
    assert effects.of_all(["supported", "undecided", "refuted"]) == "refuted"
    assert effects.of_all(["supported", "supported"]) == "supported"


@pytest.fixture(scope="module")
def of_laptop():
    """The committed runs as the answer to an experiment, with the records."""
    arms = {"diffusers-32": Arm(contestant="diffusers-32"), "scratch": Arm(expected="better")}
    experiment = Experiment(
        name="x", question="Which?", claim="scratch is better", seeds=list(range(7)), reference="diffusers-32",
        measures=["paired_colour", "exact_accuracy_of_eyes", "kid"], arms=arms,
    )  # fmt: skip
    records = [record for record in read_records(LAPTOP) if record.run.contestant in DEFAULT_CONTESTANTS.split(",")]
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
    page = "\n".join(experiment_lines(document))
    assert "–" in page
    told = "**scratch, seeds 0, 1, 2, 3, 4, 5: no pairs with the reference by paired colour difference ΔE:**"
    assert f"{told} another data_hash." in page


def rejudged(record):
    """As if another classifier had scored it."""
    judge = record.measurements.judge.model_copy(update={"macro": None})
    return record.model_copy(update={"measurements": record.measurements.model_copy(update={"judge": judge})})


def test_pages_say_by_which_measure_runs_are_no_pairs(of_laptop):
    """Another classifier spoils what it judges, and nothing else."""
    experiment, records, _ = of_laptop
    judged = experiment.model_copy(update={"measures": ["paired_colour", "hairstyles"]})
    other = [rejudged(r) if r.run.contestant == "scratch" else r for r in records]
    arm = document_of(judged, other, {})["arms"][1]
    assert [(each["seeds"], each["why"]) for each in arm["unpaired"]] == [([0, 1, 2, 3, 4, 5], ["classifier"])]
    assert "hairstyles" in arm["unpaired"][0]["measure"]
    assert len(arm["effects"][0]["differences"]) == 6


def test_nothing_is_decided_while_a_run_that_is_done_is_no_pair(of_laptop):
    experiment, records, _ = of_laptop
    six = experiment.model_copy(update={"seeds": list(range(6))})
    assert document_of(six, records, {})["verdict"] == "refuted"
    seven = [*records, *(r.model_copy(update={"run": replace(r.run, seed=6)}) for r in records if r.run.seed == 5)]
    other = [
        r.model_copy(update={"run": replace(r.run, data_hash="0" * 64)})
        if (r.run.contestant, r.run.seed) == ("scratch", 6)
        else r
        for r in seven
    ]
    document = document_of(experiment, other, {})
    assert (document["verdict"], len(document["arms"][1]["effects"][0]["differences"])) == ("undecided", 6)


def test_runs_of_one_time_budget_on_two_machines_are_no_pair_by_it(of_laptop):
    experiment, records, _ = of_laptop
    timed = experiment.model_copy(update={"measures": ["paired_colour", "paired_colour_at_seconds_230"]})
    assert [document_of(timed, records, {})["arms"][1]["unpaired"]] == [[]]
    own = [record.timed_by(()) for record in records]  # their own times, not those of quiet runs
    other = [with_environment(r, threads=7) if r.run.contestant == "scratch" else r for r in own]
    (unpaired,) = document_of(timed, other, {})["arms"][1]["unpaired"]
    assert unpaired["why"] == ["machine"]


def with_environment(record, **changes):
    return record.model_copy(update={"environment": record.environment.model_copy(update=changes)})


def test_pages_say_which_code_data_and_packages_stand_together(of_laptop):
    experiment, records, document = of_laptop
    assert "stand together" not in "\n".join(experiment_lines(document))
    first, *rest = records
    versions = first.environment.versions | {"torch": "9.9"}
    moved = with_environment(first, scoring_code="abc", versions=versions)
    elsewhere = moved.model_copy(update={"run": replace(first.run, data_hash="0" * 64)})
    page = "\n".join(experiment_lines(document_of(experiment, [elsewhere, *rest], {})))
    assert "**Runs of 2 versions of the code that scores stand together:** abc, not recorded." in page
    assert "**Runs on 2 data sets stand together (000000000000, " in page
    assert "**Runs by different versions of packages stand together:** torch 2.14.1 and 9.9." in page


def test_the_time_of_a_run_is_that_to_its_last_budget(of_laptop):
    _, records, document = of_laptop
    training = records[0].measurements.training
    assert effects.seconds_of(records[0]) == training.points[-1].seconds + records[0].measurements.sampling.seconds
    assert training.points[-1].seconds > sum(training.seconds_per_epoch)
    slow, fast = (arm["time"]["seconds"] for arm in document["arms"])
    assert slow > 3 * fast
    assert time_of(document) == f", about {slow / 3600:.1f} h at the mean time of those that are done (AVX2)"
    slow_arm = document["arms"][0] | {"time": {"seconds": None, "measured": False, "on": []}}
    assert time_of({"arms": [slow_arm, document["arms"][1]]}) == ""  # that of another arm says nothing


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
    assert unlike(kid, ours, theirs) == []
    (name,) = ours.measurements.distance
    other = ours.measurements.distance[name].model_copy(update={"weights_sha256": "0" * 64})
    measurements = ours.measurements.model_copy(update={"distance": {name: other}})
    rescored = ours.model_copy(update={"measurements": measurements})
    assert unlike(kid, rescored, theirs) == ["what the distance rests on"]
    assert unlike(measures_of(experiment)[0], rescored, theirs) == []
    assert [unlike(each, rejudged(ours), theirs) for each in (kid, BY_THE_CLASSIFIER)] == [[], ["classifier"]]
