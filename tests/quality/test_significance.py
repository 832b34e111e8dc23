"""Paired tests against scipy's, and the rule that names a difference, on equals and on a known difference."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom, binomtest, ttest_1samp

from bench.quality.significance import (
    FEWEST_SEEDS,
    SIGNIFICANT,
    holm,
    paired_difference,
    sign_flip_test,
    wilson,
)
from bench.render.table.measures import MEASURES

FAMILY = len(MEASURES)
SAMPLES = 512  # behind a share
TABLES = 4000


def test_the_paired_t_test_is_scipys():
    differences = np.random.default_rng(0).normal(0.5, 1, (3, 4, 7))
    found, expected = paired_difference(differences), ttest_1samp(differences, 0, axis=-1)
    np.testing.assert_allclose(found.p, expected.pvalue)
    np.testing.assert_allclose([found.low, found.high], expected.confidence_interval())


def test_differences_that_are_all_the_same_are_no_surer_than_their_signs():
    for differences in (np.full(6, 0.2), np.array([0.8, 0.81, 0.82, 0.83, 0.84, 0.85]) - np.arange(0.6, 0.655, 0.01)):
        assert float(paired_difference(differences).p) == pytest.approx(2 / 64)
        assert sign_flip_test(differences) == pytest.approx(2 / 64)
    assert float(paired_difference(np.zeros(6)).p) == 1
    one = paired_difference(np.array([0.3]))
    assert np.isnan([one.p, one.low, one.high]).all()
    assert one.mean == 0.3


def test_no_sign_flip_test_of_fewer_seeds_reaches_significance():
    assert sign_flip_test(np.arange(1.0, FEWEST_SEEDS + 1)) <= SIGNIFICANT < sign_flip_test(np.arange(1.0, 6.0))
    assert sign_flip_test(np.arange(1.0, FEWEST_SEEDS + 1)) > SIGNIFICANT / FAMILY  # too coarse for the family


def test_holms_correction_keeps_the_order_and_leaves_out_what_was_not_tested():
    family = np.array([[0.01, 0.04, np.nan, 0.03], [0.5, 0.6, 0.7, 0.001]])
    np.testing.assert_allclose(holm(family), [[0.03, 0.06, np.nan, 0.06], [1, 1, 1, 0.004]])
    assert holm(np.array([])).shape == (0,)


def test_how_often_one_is_better_counts_ties_half():
    found = paired_difference(np.array([1.0, 2.0, 0.0, -1.0, 3.0, 1.0]))
    assert found.share_above == 4.5 / 6
    expected = binomtest(5, 6).proportion_ci(method="wilson")
    np.testing.assert_allclose(wilson(np.array(5 / 6), 6), expected)


def contestants(random, count, ratio, correlation, effect=0.0, tables=TABLES):
    """Made-up values (tables, measures, contestants, seeds), the first contestant worse by `effect`.

    Between-seed noise is `ratio` times that of the samples; what pairs have in common falls out. Half of the measures
    are shares of a few hundred samples, from rare to common.
    """
    shape = (tables, FAMILY, count, FEWEST_SEEDS)

    def noise():
        common, own = random.normal(size=(tables, 1, *shape[2:])), random.normal(size=shape)
        return correlation**0.5 * common + (1 - correlation) ** 0.5 * own

    latent = ratio * noise() + random.normal(size=(*shape[:2], 1, FEWEST_SEEDS))
    latent[:, :, 0] += effect
    shares = FAMILY // 2
    middle = expit(np.linspace(-4, 3, shares))[:, None, None]
    of_samples = random.binomial(
        SAMPLES, np.clip(middle + np.sqrt(middle * (1 - middle) / SAMPLES) * latent[:, :shares], 0, 1)
    )
    return np.concatenate([of_samples / SAMPLES, (latent + noise())[:, shares:]], axis=1)


def named(values):
    """By the rule of the table: which differences (tables, measures, pairs) are significant."""
    first, second = np.array(list(combinations(range(values.shape[2]), 2))).T
    p = paired_difference(values[:, :, first] - values[:, :, second]).p
    return (holm(p.reshape(len(p), -1)) <= SIGNIFICANT).reshape(p.shape)


@pytest.mark.parametrize("correlation", [0.0, 0.8])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_of_tables_of_equals_at_most_one_in_twenty_names_a_difference(count, correlation):
    """Within the error of the simulation: no rate is above what 99 % of simulations at exactly 5 % would give."""
    random = np.random.default_rng(count)
    for ratio in (0, 0.5, 1, 2, 3):
        false = named(contestants(random, count, ratio, correlation)).any((1, 2)).sum()
        assert false <= binom.ppf(0.99, TABLES, SIGNIFICANT), ratio
        assert false > 0.02 * TABLES, ratio  # nor is the rule asleep


@pytest.mark.parametrize(("correlation", "told"), [(0.0, 0.09), (0.8, 0.05)])
def test_lopsided_seeds_against_steady_ones_name_a_difference_as_often_as_the_readme_says(correlation, told):
    """One contestant's seeds are log-normal, their sd 30 % of the mean; those of the other lie at the mean."""
    random, width = np.random.default_rng(0), np.log(1.09) ** 0.5
    common, own = (
        random.normal(size=(2 * TABLES, 1, FEWEST_SEEDS)),
        random.normal(size=(2 * TABLES, FAMILY, FEWEST_SEEDS)),
    )
    lopsided = np.exp(width * (correlation**0.5 * common + (1 - correlation) ** 0.5 * own) - width**2 / 2)
    assert lopsided.mean() == pytest.approx(1, abs=0.01)
    false = (holm(paired_difference(lopsided - 1).p) <= SIGNIFICANT).any(1).mean()
    assert false == pytest.approx(told, abs=0.01)


README = Path(__file__).parents[2] / "bench" / "quality" / "README.md"
POWER = [
    [int(cell.removesuffix(" %")) for cell in line.strip("| ").split(" | ")]
    for line in README.read_text().split("<!-- power -->")[1].split("<!-- /power -->")[0].strip().splitlines()[2:]
]


@pytest.mark.parametrize(("count", "seeds", "powers"), [(count, seeds, powers) for count, seeds, *powers in POWER])
def test_the_power_is_what_the_readme_says(count, seeds, powers):
    """The first contestant differs by so many sd from all others at one measure, and nothing else differs."""
    random, against_first = np.random.default_rng(0), slice(count - 1)
    first, second = np.array(list(combinations(range(count), 2))).T
    values = random.normal(size=(TABLES, FAMILY, count, seeds)) / 2**0.5
    differences = values[:, :, first] - values[:, :, second]
    p = paired_difference(differences).p
    for effect, power in enumerate(powers, 1):
        shifted = differences[:, 0] + effect * (first == 0)[:, None]
        p[:, 0] = paired_difference(shifted).p
        found = holm(p.reshape(TABLES, -1))[:, against_first] <= SIGNIFICANT
        assert found.all(1).mean() == pytest.approx(power / 100, abs=0.025)
