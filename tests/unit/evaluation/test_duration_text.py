"""Durations as people read them."""

from __future__ import annotations

import pytest

from snakeval.evaluation.duration_text import clock_text, duration_text, estimate_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (5.25, "5.2 s"),
        (42.4, "42 s"),
        (59.7, "1 min 00 s"),
        (182, "3 min 02 s"),
        (3599.6, "1 h 00 min"),
        (7520, "2 h 05 min"),
    ],
)
def test_a_measured_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (59, "less than a minute"),
        (61, "about 1 min"),
        (3595, "about 1 h 00 min"),
        (7200, "about 2 h 00 min"),
    ],
)
def test_an_estimate_has_no_seconds(seconds: float, text: str) -> None:
    assert estimate_text(seconds) == text


def test_a_clock_has_minutes_and_seconds_and_hours_from_the_first_hour_on() -> None:
    assert [clock_text(seconds) for seconds in (0, 31.9, 600, 3723)] == [
        "0:00",
        "0:31",
        "10:00",
        "1:02:03",
    ]
