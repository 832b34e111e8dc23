"""Strength and weakness, and the differences that they rest on: paired by seed, over made-up records."""

import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import ttest_rel

from bench.quality.significance import SIGNIFICANT, holm
from bench.record.quality import EFFICIENTNET
from bench.render.report.report import write_page
from bench.render.table.differences import Differences, family
from bench.render.table.measures import MEASURES, PRIMARY, Measure
from bench.render.table.numbers import AT_BUDGETS, EXPLORED
from bench.render.table.table import table
from bench.render.table.verdict import ALONE, AT_CHANCE, EQUAL, NAMED, OTHERS_AT_CHANCE
from tests.made_up import edited, put

SEEDS = range(6)
TOO_FEW = "too few seeds to say ({} in common, 6 needed)"


@pytest.fixture
def seeds(record):
    """Records of several seeds of a contestant, whose accuracy scatters a little."""

    def make(contestant="scratch", accuracy=0.8, seeds=SEEDS, spread=0.01):
        random = np.random.default_rng(sum(contestant.encode()))
        values = accuracy + spread * random.normal(size=20)
        return [record(contestant, seed, values[seed]) for seed in seeds]

    return make


def words_of(made):
    rows = {row.key: [cell.text for cell in made.cells(row)] for row in made.rows}
    return rows["strength"], rows["weakness"]


def told(made, first, second, measure):
    """The entry of the document."""
    (found,) = (
        each
        for each in made.to_json()["differences"]
        if (each["first"], each["second"], each["measure"]) == (first, second, measure)
    )
    return found


def test_too_few_seeds_say_nothing_however_far_apart(seeds, record):
    assert words_of(table([record()])) == ([ALONE], [ALONE])
    for count in (1, 2, 5):
        made = table([*seeds(seeds=range(count)), *seeds("diffusers-32", 0.3, range(count))])
        assert words_of(made) == ([TOO_FEW.format(count)] * 2,) * 2
        assert {each["p_holm"] for each in made.to_json()["differences"]} == {None}
    apart = table([*seeds(seeds=range(6)), *seeds("diffusers-32", 0.3, range(2, 8))])
    assert words_of(apart)[0] == [TOO_FEW.format(4)] * 2  # of twelve trainings, four pairs


def test_a_contestant_with_too_few_seeds_silences_no_other(seeds):
    best, worse, few = seeds(), seeds("diffusers-32", 0.6), seeds("diffusers-8", 0.4, range(3))
    alone, together = table([*best, *worse]), table([*best, *worse, *few])
    for of_two, of_three in zip(words_of(alone), words_of(together), strict=True):
        assert of_three == [*of_two, TOO_FEW.format(3)]


def test_a_strength_is_what_every_other_one_is_worse_at(seeds):
    best, middle, worst = seeds(), seeds("diffusers-32", 0.6), seeds("diffusers-16", 0.4)
    strengths, weaknesses = words_of(table([*best, *middle]))
    assert strengths[0].startswith("nearer to the true picture (3.86 against 8.0")
    assert weaknesses[1].startswith("farther from the true picture (8.0")
    assert "true structure (0.80" in strengths[0]
    assert strengths[1] == "nearer to real images by KID (5.98 against 8.07), nearer to real images (59.8 against 80.7)"
    strengths, weaknesses = words_of(table([*best, *middle, *worst]))
    assert strengths[0].startswith("nearer to the true picture (3.86 against 8.0")
    assert "against 8." in strengths[0]  # the nearest rival, not the worst
    assert (strengths[1], weaknesses[1]) == (EQUAL, EQUAL)  # neither best nor worst at anything
    assert "farther from the true picture (12.0" in weaknesses[2]


def test_equals_have_no_strength(seeds):
    assert words_of(table([*seeds(), *seeds("diffusers-32")])) == ([EQUAL] * 2,) * 2
    wild = seeds("diffusers-32", 0.7, spread=0.2)  # worse on average, but not surely
    assert words_of(table([*seeds(), *wild])) == ([EQUAL] * 2,) * 2
    assert words_of(table([*seeds(spread=0), *seeds("diffusers-32", spread=0)])) == ([EQUAL] * 2,) * 2


def artefact(records, name, value):
    """The records with another value of an artefact, which scatters."""
    return [
        edited(each, put(value * (1 + 0.01 * (each.run.seed % 3)), "measurements", "artefacts", name, "value"))
        for each in records
    ]


def test_the_blog_posts_words_have_their_measures(seeds):
    clean, noisy = seeds(), seeds("diffusers-32")
    for name, value in (("stray_pixels", 0.3), ("colour_error", 9.0), ("edge_agreement", 0.01), ("saturation", -2.0)):
        noisy = artefact(noisy, name, value)
    strengths, weaknesses = words_of(table([*clean, *noisy]))
    for word in ("clean background (10.0 % against 30.3 %)", "truer colors", "more accurate shape", "right saturation"):
        assert word in strengths[0]
    for word in ("noisy background", "color corruption", "less accurate shape", "pale color (2.0 against 0.1)"):
        assert word in weaknesses[1]


def test_a_cell_names_the_first_few_measures_and_counts_the_rest(seeds):
    other = seeds("diffusers-32", 0.6)
    for name in ("stray_pixels", "colour_error"):
        other = artefact(other, name, 5.0)
    (strength, _), _ = words_of(table([*seeds(), *other]))
    assert strength.count(" against ") == NAMED
    assert strength.endswith(" and 1 more")


def test_records_that_do_not_compare_get_no_verdict_and_another_classifier_none_of_its_own(seeds):
    other = [edited(each, put("fedcba", "config", "data_hash")) for each in seeds("diffusers-32", 0.2)]
    made = table([*seeds(), *other])
    assert words_of(made) == ([ALONE] * 2,) * 2
    assert made.to_json()["differences"] == []
    judged = put({"ceiling": 0.8, "chance": 0.1, "noisy": 0.7, "blurred": 0.7}, "measurements", "judge", "macro")
    counted = put(16, "measurements", "distance", EFFICIENTNET, "generated")
    made = table([*seeds(), *(edited(each, judged, counted) for each in seeds("diffusers-32", 0.6))])
    left_out = {"accuracy", "hairstyles", "kid", "frechet_distance"}
    found = {each["measure"] for each in made.to_json()["differences"] if each["family"] == "declared"}
    assert found == {measure.key for measure in MEASURES} - left_out


def test_samples_at_chance_get_no_verdict(seeds):
    good, bad = seeds(), seeds("diffusers-32", 0.11, spread=0.001)  # chance 0.1, within the uncertainty
    assert words_of(table([*good, *bad])) == ([OTHERS_AT_CHANCE, AT_CHANCE],) * 2
    assert words_of(table([*bad, *seeds(accuracy=0.05)])) == ([AT_CHANCE] * 2,) * 2
    ours, theirs, _ = words_of(table([*good, *bad, *seeds("diffusers-8", 0.6)]))[0]
    assert ours.startswith("nearer to the true picture (3.86 against 8.0")
    assert "against 8." in ours
    assert theirs == AT_CHANCE


def test_the_differences_are_paired_tests_with_holms_correction(seeds):
    first, second = seeds(), seeds("diffusers-32", 0.78, range(1, 8))
    made = table([*first, *second])
    found = [each for each in made.to_json()["differences"] if each["family"] == "declared"]
    assert [each["measure"] for each in found] == [measure.key for measure in MEASURES]
    assert words_of(made)[0] == [TOO_FEW.format(5)] * 2
    second = seeds("diffusers-32", 0.78)
    made = table([*first, *second])
    entry = told(made, "scratch", "diffusers-32", PRIMARY)
    values = [[MEASURES[0].value(record) for record in records] for records in (first, second)]
    expected = ttest_rel(*values)
    interval = expected.confidence_interval()
    assert entry["p"] == pytest.approx(expected.pvalue)
    assert entry["interval"] == pytest.approx([interval.low, interval.high])
    assert entry["difference"] == pytest.approx(np.subtract(*values).mean())
    assert entry["first_better"] == pytest.approx(np.mean(np.less(*values)))
    assert entry["primary"]
    raw = [each["p"] for each in made.to_json()["differences"] if each["family"] == "declared"]
    assert entry["p_holm"] == pytest.approx(holm(np.array(raw))[0])
    json.dumps(made.to_json(), allow_nan=False)


def test_the_differences_stand_below_the_table_against_the_first_column(seeds, tmp_path):
    records = [*seeds(), *seeds("diffusers-32", 0.6), *seeds("diffusers-16", 0.4)]
    text = table(records).to_markdown()
    for other in ("diffusers-32", "diffusers-16"):
        assert f"**Differences, paired by seed: scratch − {other} (primary measure: p = 0.0312 by a " in text
    assert "diffusers-32 − " not in text
    assert "| paired colour difference ΔE (primary) | 3.86 | 8.03 | -4.1" in text
    assert f"<summary>{EXPLORED}</summary>" in text
    assert "Differences, paired" not in table(seeds(seeds=[0]) + seeds("diffusers-32", seeds=[0])).to_markdown()
    few = table(seeds(seeds=[0, 1]) + seeds("diffusers-32", 0.6, [0, 1])).to_markdown()
    assert "| – | – | 100.0 % (34.2 % to 100.0 %) | 2 |" in few
    page = write_page([(tmp_path, records, [])], "python -m bench report")
    assert "Differences, paired by seed" in page


def test_at_every_other_budget_the_primary_measure_is_compared_in_a_family_of_its_own(seeds):
    """At one of the two a contestant is worse; machines that differ compare at equal images, and not at equal time."""

    def worse(document, by):
        for number, point in enumerate(document["measurements"]["curve"]):
            point["paired"]["colour"]["value"] += (by + document["config"]["seed"] / 10) * (number == 1)

    slow = [edited(each, partial(worse, by=5.0)) for each in seeds("diffusers-32")]
    made = table([*seeds(), *slow])
    found = {each["measure"]: each for each in made.to_json()["differences"] if each["family"] == "budgets"}
    equal, different = found["paired_colour_at_seconds_9"], found["paired_colour_at_images_200"]
    assert (equal["difference"], equal["significant"], different["significant"]) == (0, False, True)
    assert different["difference"] == pytest.approx(-5.25)
    assert different["p_holm"] == pytest.approx(2 * different["p"])  # of two tests
    text = made.to_markdown()
    assert f"<summary>{AT_BUDGETS}</summary>" in text
    elsewhere = [edited(each, put("another", "environment", "device")) for each in slow]
    apart = table([*seeds(), *elsewhere]).to_json()["differences"]
    assert [each["measure"] for each in apart if each["family"] == "budgets"] == ["paired_colour_at_images_200"]


def column(title, values):
    """A column of records that hold nothing but numbers: values (measures, seeds)."""
    run = [SimpleNamespace(seed=seed) for seed in range(values.shape[1])]
    records = [SimpleNamespace(run=each, status="done", values=values[:, each.seed]) for each in run]
    return SimpleNamespace(title=title, records=records)


def test_of_tables_of_equals_few_name_a_difference(monkeypatch):
    """The rule as tables use it; `tests/quality/test_significance.py` simulates many more, by its functions."""
    monkeypatch.setattr("bench.render.table.differences.alike", lambda *_: True)
    random = np.random.default_rng(0)
    measures = [
        Measure(str(i), str(i), lambda record, i=i: record.values[i], "lower", str, same=lambda *_: True)
        for i in range(len(MEASURES))
    ]
    named = 0
    for _ in range(400):
        values = random.normal(size=(2, len(measures), 6)) + random.normal(size=(len(measures), 6))
        pair = tuple(column(str(i), each) for i, each in enumerate(values))
        found = Differences(family([pair], measures), [], [])
        named += any(each.winner is not None for each in found.declared)
    assert 0 < named / 400 < 2 * SIGNIFICANT
