"""Drops of a curve, decided so that a flat curve rarely alarms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from scipy import stats

from snakeval.results.statistics.drops import FALSE_ALARMS, Point, drop, level
from snakeval.results.statistics.intervals import Interval
from snakeval.results.statistics.samples import Scores

ASKED = 200


def point(name: str, wrong: Sequence[int], scale: float = 1.0) -> Point:
    """Return a point that answers these questions wrongly, and all others rightly."""
    values = [float(number not in wrong) for number in range(ASKED)]
    scores = Scores.of([str(number) for number in range(ASKED)], values)
    return Point(name, scale * sum(values) / ASKED, Interval(), scores, scale)


GOOD, BETTER, BEST = (point(name, range(n)) for name, n in (("1", 30), ("2", 20), ("3", 10)))


def test_the_first_point_of_a_curve_cannot_drop() -> None:
    assert drop(GOOD, [], 0) is None


def test_a_point_is_compared_with_the_mean_of_the_three_best_before_it() -> None:
    found = drop(point("5", range(60)), [point("0", range(90)), GOOD, BEST, BETTER], 4)
    assert found is not None
    assert [other.name for other in found.best] == ["3", "2", "1"]
    assert found.value == pytest.approx(40 / ASKED)
    assert found.significant


def test_a_drop_of_a_metric_that_should_be_low_is_a_rise() -> None:
    found = drop(BEST, [point("0", range(60))], 1, higher_is_better=False)
    assert found is not None
    assert found.value == pytest.approx(50 / ASKED)
    assert found.significant


def test_a_better_point_is_no_drop() -> None:
    found = drop(BEST, [GOOD], 1)
    assert found is not None
    assert found.value == pytest.approx(-20 / ASKED)
    assert not found.significant


def test_the_p_value_is_the_one_sided_exact_one_of_the_strongest_comparison() -> None:
    worse = point("4", [*range(12), 100, 101, 102])
    found = drop(worse, [BEST, point("2", [*range(10), 150])], 2)
    assert found is not None
    # Against step 3 five questions are lost and none is gained; against step 2 five and one.
    assert found.p == pytest.approx(stats.binom.cdf(0, 5, 0.5))
    assert found.level == level(2, 2)
    assert not found.significant


def test_the_levels_of_a_curve_of_any_length_add_up_to_the_false_alarms() -> None:
    shares = [level(decision, 7) * 7 for decision in range(1, 10_000)]
    assert math.fsum(shares) == pytest.approx(FALSE_ALARMS, rel=1e-3)
    assert math.fsum(shares) < FALSE_ALARMS


def test_scores_in_percent_drop_in_percent() -> None:
    found = drop(point("2", range(60), 100.0), [point("1", range(10), 100.0)], 1)
    assert found is not None
    assert found.value == pytest.approx(25.0)
    assert found.significant


def test_a_later_decision_detects_only_a_greater_drop() -> None:
    worse = point("4", [*range(20), 100, 101, 102])
    early, late = (drop(worse, [BETTER, GOOD], decision) for decision in (2, 50))
    assert early is not None
    assert late is not None
    assert early.detectable is not None
    assert late.detectable is not None
    assert 0 < early.detectable < late.detectable


def test_points_without_samples_are_compared_by_their_intervals() -> None:
    known = Interval(0.78, 0.82)
    high = Point("1", 0.8, known)
    for value, significant in ((0.5, True), (0.79, False)):
        low = Point("2", value, replace(known, low=value - 0.02, high=value + 0.02))
        found = drop(low, [high], 1)
        assert found is not None
        assert (found.significant, found.paired) == (significant, False)


def test_points_without_samples_and_intervals_do_not_alarm() -> None:
    found = drop(Point("2", 0.1, Interval()), [Point("1", 0.9, Interval())], 1)
    assert found is not None
    assert (found.p, found.significant, found.detectable) == (None, False, None)
