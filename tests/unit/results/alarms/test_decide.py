"""Which points of a curve alarm: each once, in the order in which checkpoints finish."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from snakeval.results.alarms import decide
from snakeval.results.alarms.decide import Spot
from snakeval.results.curves.points import Curve, Place, Point
from snakeval.results.statistics import drops
from snakeval.results.statistics.drops import Drop
from snakeval.results.statistics.intervals import Interval
from snakeval.results.statistics.samples import Scores

QUESTIONS = 400


def spot(step: int, value: float, gone: bool = False) -> Spot:
    return Spot(Point(f"r@{step}", str(step), "done", value), value, f"f{step}", gone)


def measured(each: Spot) -> drops.Point:
    right = round(each.value * QUESTIONS)
    values = pd.Series([1.0] * right + [0.0] * (QUESTIONS - right)).to_numpy()
    scores = Scores(pd.Index([f"q{n}" for n in range(QUESTIONS)], dtype=object), values)
    return drops.Point(each.point.model, each.value, Interval(), scores)


def test_equal_and_gone_checkpoints_are_no_decisions_and_gone_ones_are_compared_with() -> None:
    points = tuple(Point(f"r@{n}", str(n), "done", 0.5) for n in (1, 2, 3, 4))
    places = {point.model: Place("r", point.step) for point in points}
    places["r@2"] = replace(places["r@2"], gone=True)
    places["r@3"] = replace(places["r@3"], same_as="r@1")
    missing = Point("r@5", "5", "pending")
    found = decide.spots(Curve("r", (*points, missing)), {"r@1": "x"}, places)
    assert [(each.key, each.gone) for each in found] == [
        (("1", "x"), False), (("2", ""), True), (("4", ""), False),
    ]  # fmt: skip
    assert [(s.point.step, len(earlier)) for s, earlier in decide.undecided(found, ())] == [
        ("4", 2)
    ]


def test_each_content_of_a_step_is_judged_once() -> None:
    found = [spot(1, 0.5), spot(2, 0.5), spot(3, 0.5)]
    assert [s.key for s, _ in decide.undecided(found, {("2", "f2")})] == [("3", "f3")]
    again = [*found[:1], replace(found[1], fingerprint="other"), found[2]]
    assert [s.key for s, _ in decide.undecided(again, {("2", "f2"), ("3", "f3")})] == [
        ("2", "other")
    ]


def test_a_point_waits_for_one_before_it() -> None:
    assert [*decide.undecided([spot(9, 0.5)], ())] == []
    assert [s.key for s, _ in decide.undecided([spot(4, 0.9), spot(9, 0.5)], ())] == [("9", "f9")]


def test_only_the_best_are_measured_and_the_number_makes_the_limit_stricter() -> None:
    earlier = [spot(n, 0.5 + n / 100) for n in range(10)]
    seen: list[str] = []

    def measure(each: Spot) -> drops.Point:
        seen.append(each.point.step)
        return measured(each)

    found = decide.dropped(spot(10, 0.3), earlier, 1, True, measure)
    assert found is not None
    assert found.significant
    assert sorted(seen) == ["10", "7", "8", "9"]
    later = decide.dropped(spot(10, 0.3), earlier, 1000, True, measured)
    assert later is not None
    assert (later.p, later.level < found.level / 1e5) == (found.p, True)


def test_a_lower_score_is_no_drop_where_lower_is_better() -> None:
    found = decide.dropped(spot(2, 0.3), [spot(1, 0.6)], 1, False, measured)
    assert found is not None
    assert not found.significant
    worse = decide.dropped(spot(2, 0.9), [spot(1, 0.6)], 1, False, measured)
    assert worse is not None
    assert worse.significant


def test_a_drop_alarms_if_it_is_significant_and_large_enough() -> None:
    found = Drop(0.04, (), significant=True)
    assert decide.is_alarm(found, True)
    assert decide.is_alarm(found, 0.04)
    assert not decide.is_alarm(found, 0.05)
    assert not decide.is_alarm(replace(found, significant=False), True)
    assert not decide.is_alarm(None, True)


def test_the_first_step_with_a_score_reaches_it() -> None:
    found = [spot(1, 0.5), spot(2, 0.8, gone=True), spot(3, 0.8), spot(4, 0.9)]
    assert decide.reached(found, 0.8, True) == found[2]
    assert decide.reached(found, 0.95, True) is None
    assert decide.reached(found, 0.6, False) == found[0]


def test_a_silence_is_as_long_as_the_user_wrote() -> None:
    assert not decide.is_silent(100.0, 100.0 + 60 * 5 - 1, 5)
    assert decide.is_silent(100.0, 100.0 + 60 * 5, 5)
