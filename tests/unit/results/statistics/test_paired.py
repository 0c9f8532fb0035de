"""The score interval of a paired difference of proportions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from snakeval.results.statistics.paired import score_interval

Z = 1.959964


@pytest.mark.parametrize(("higher", "lower", "n"), [(1, 0, 44), (14, 9, 80), (2, 25, 60)])
def test_both_bounds_are_at_the_quantile_from_the_likeliest_model_of_that_difference(
    higher: int, lower: int, n: int
) -> None:
    """The same statistic, with the constrained likelihood maximised by numbers."""

    def distance(difference: float) -> float:
        def unlikely(share: float) -> float:
            parts = ((higher, share + difference), (lower, share))
            same = (n - higher - lower, 1 - 2 * share - difference)
            return -sum(count * math.log(part) for count, part in (*parts, same) if count)

        least, most = max(0.0, -difference), (1 - difference) / 2
        bounds = (least + 1e-12, most - 1e-12)
        share = optimize.minimize_scalar(
            unlikely, bounds=bounds, method="bounded", options={"xatol": 1e-12}
        ).x
        variance = n * (2 * share + difference - difference**2)
        return float((higher - lower - n * difference) / math.sqrt(variance))

    low, high = score_interval(higher, lower, n, Z)
    assert (distance(low), distance(high)) == pytest.approx((Z, -Z), abs=1e-4)


def test_no_change_has_the_bounds_of_wilsons_interval() -> None:
    bound = Z**2 / (100 + Z**2)
    assert score_interval(0, 0, 100, Z) == pytest.approx((-bound, bound))


def test_if_all_samples_change_the_bound_is_one() -> None:
    low, high = score_interval(0, 10, 10, Z)
    assert low == -1
    assert -0.6 < high < 0


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 400), st.floats(0.5, 4))
def test_the_interval_has_the_difference_and_turns_with_the_sides(
    higher: int, lower: int, same: int, quantile: float
) -> None:
    n = higher + lower + same
    if n == 0:
        return
    low, high = score_interval(higher, lower, n, quantile)
    assert -1 <= low <= (higher - lower) / n <= high <= 1
    assert low < high
    turned = score_interval(lower, higher, n, quantile)
    assert (-turned[1], -turned[0]) == pytest.approx((low, high), abs=1e-6)
