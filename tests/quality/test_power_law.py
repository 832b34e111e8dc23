"""Power laws are found again where they are, and cross where they should."""

import numpy as np
import pytest

from bench.quality.power_law import PowerLaw, better, crossing, fitted, frontier

COSTS = np.array([1e-3, 3e-3, 1e-2, 1e-1])


def test_a_law_is_found_again():
    law = fitted(COSTS, 5 * COSTS**-0.4)
    assert law is not None
    assert (10**law.height, law.exponent) == pytest.approx((5, 0.4))
    assert law.at(1.0) == pytest.approx(5)


def test_two_points_are_too_few():
    assert fitted(COSTS[:2], COSTS[:2]) is None


def test_the_frontier_leaves_out_what_something_cheaper_beats():
    x, y = np.array([3.0, 1.0, 2.0, 4.0, 2.0]), np.array([6.0, 9.0, 5.0, 1.0, 7.0])
    assert frontier(x, y) == [1, 2, 3]


def test_laws_cross_where_both_say_the_same_and_parallel_ones_do_not():
    one, other = PowerLaw(height=1.0, exponent=0.5), PowerLaw(height=0.4, exponent=0.2)
    x = 10 ** crossing(one, other)
    assert one.at(x) == pytest.approx(other.at(x))
    assert x == pytest.approx(100)
    assert not np.isfinite(crossing(one, PowerLaw(height=0.0, exponent=0.5)))
    assert not np.isfinite(crossing(one, one))


def test_the_better_law_has_the_lower_y():
    one, other = PowerLaw(height=1.0, exponent=0.5), PowerLaw(height=0.4, exponent=0.2)
    assert [better(one, other, x) for x in (10, 100, 1000)] == [1, 0, -1]
