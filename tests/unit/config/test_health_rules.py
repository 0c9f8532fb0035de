"""Thresholds are counts or shares."""

from __future__ import annotations

import pytest

from snakeval.config.health_rules import (
    LEVELS,
    RULES,
    is_reached,
    threshold,
    threshold_text,
    thresholds,
)


def test_each_rule_has_a_default_level_and_threshold() -> None:
    for name, rule in RULES.items():
        assert rule.level in LEVELS
        assert thresholds({}, name) == {rule.level: rule.at}
        assert threshold(rule.at) == rule.at


@pytest.mark.parametrize(
    ("written", "meant"), [(1, 1), (20, 20), (0.05, 0.05), ("5 %", 0.05), ("5%", 0.05), ("3", 3)]
)
def test_a_threshold_is_a_count_or_a_share(written: object, meant: float) -> None:
    assert threshold(written) == pytest.approx(meant)


@pytest.mark.parametrize(
    "written",
    [
        0,
        -1,
        1.5,
        "x",
        "",
        True,
        None,
        [1],
        "nan",
        "inf",
        1e300,
        "100 %",
        "200 %",
        "１ %",
        "1_0",
        "٣",
    ],
)
def test_what_is_neither_is_an_error(written: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        threshold(written)


def test_a_threshold_is_reached_by_the_count_or_the_share() -> None:
    assert not is_reached(1, 0, 60)
    assert is_reached(1, 1, 60)
    assert is_reached(0.01, 1, 100)
    assert not is_reached(0.01, 1, 101)
    assert not is_reached(0.5, 1, 2, exceeded=True)
    assert is_reached(0.5, 2, 3, exceeded=True)
    assert is_reached(0.01, 1, 0), "one of an unknown number"


def test_thresholds_have_texts() -> None:
    assert [threshold_text(at) for at in (1, 20, 0.01, 0.125)] == ["1", "20", "1 %", "12.5 %"]
