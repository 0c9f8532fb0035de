"""The difference of two models of which some answers were not graded."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snakeval.results.statistics import differences
from snakeval.results.statistics.intervals import of_samples
from snakeval.results.statistics.samples import Scores
from snakeval.results.statistics.ungraded import difference


def scores(values: list[float]) -> Scores:
    return Scores.of([str(number) for number in range(len(values))], values)


def test_complete_scores_have_their_paired_difference() -> None:
    a, b = scores([1.0, 0.0, 1.0] * 20), scores([1.0, 1.0, 0.0] * 20)
    assert difference(a, b) == differences.difference(a, b)


def test_the_interval_is_from_the_worst_to_the_best_case() -> None:
    a = scores([1.0] * 90 + [math.nan] * 10)
    b = scores([1.0] * 80 + [0.0] * 20)
    found = difference(a, b)
    worst, best = (differences.difference(scores([1.0] * 90 + [end] * 10), b) for end in (0.0, 1.0))
    assert found.value == pytest.approx(10 / 90)
    assert (found.low, found.high, found.p) == (worst.low, best.high, worst.p)
    assert found.note.startswith("score, 90 of 100 and 100 of 100 samples graded, from the worst")


def test_cases_of_both_signs_are_not_significant() -> None:
    a, b = scores([1.0] * 80 + [math.nan] * 20), scores([1.0] * 70 + [0.0] * 10 + [1.0] * 20)
    found = difference(a, b)
    assert found.p == 1
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0 < found.high


def test_a_metric_of_an_unknown_range_has_no_interval() -> None:
    found = difference(scores([4.0, 5.0, math.nan]), scores([4.0, 4.0, 4.0]))
    assert (found.value, found.low, found.p) == (0.5, None, None)
    assert found.reason.endswith("samples graded, and the range of the metric is unknown")


@settings(max_examples=25)
@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=60), st.data())
def test_the_interval_covers_that_of_the_complete_samples(
    values: list[float], data: st.DataObject
) -> None:
    lost = data.draw(st.sets(st.integers(0, len(values) - 1), max_size=len(values) - 1))
    found = of_samples(scores([math.nan if n in lost else v for n, v in enumerate(values)]))
    whole = of_samples(scores(values))
    assert found.low is not None
    assert found.high is not None
    assert whole.low is not None
    assert whole.high is not None
    assert found.low <= whole.low + 1e-12
    assert found.high >= whole.high - 1e-12
    assert (found.ungraded, found.graded) == (
        (len(lost), len(values) - len(lost)) if lost else (0, 0)
    )
