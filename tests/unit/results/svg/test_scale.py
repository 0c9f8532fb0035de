"""Axes: round labels within the values, whatever these are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from snakeval.results.svg import scale
from snakeval.results.svg.scale import Scale

START = datetime(2026, 1, 1, 22, 30, tzinfo=UTC)


def texts(found: Scale) -> list[str]:
    return [tick.text for tick in found.ticks]


def test_scores_have_round_ends() -> None:
    found = scale.of_scores([0.31, 0.74])
    assert texts(found) == ["0.3", "0.4", "0.5", "0.6", "0.7", "0.8"]
    assert found.share(Decimal("0.3")) == 0
    assert found.share(Decimal("0.8")) == 1


@pytest.mark.parametrize(
    "values", [[], [0.0], [0.5], [1e308, -1e308], [5e-324], [1e-9, 2e-9], [0.1, 0.1 + 1e-16]]
)
def test_each_score_is_on_its_axis(values: list[float]) -> None:
    found = scale.of_scores(values)
    assert 2 <= len(found.ticks) <= 8
    assert all(0 <= found.share(scale.decimal(value)) <= 1 for value in values)


def test_steps_have_labels_in_one_unit() -> None:
    assert texts(scale.of_steps([Decimal(200), Decimal(12000)])) == [
        "2k", "4k", "6k", "8k", "10k", "12k",
    ]  # fmt: skip
    assert texts(scale.of_steps([Decimal(7)])) == ["7"]


def test_a_step_that_no_float_can_hold_has_a_place() -> None:
    found = scale.of_steps([Decimal(1), Decimal("1e9999")])
    assert found.share(Decimal("5e9998")) == pytest.approx(0.5)


def test_times_have_a_date_where_the_day_changes() -> None:
    found = scale.of_times([START, START + timedelta(hours=8)])
    assert [(tick.text, tick.below) for tick in found.ticks] == [
        ("00:00", "2 Jan"), ("02:00", ""), ("04:00", ""), ("06:00", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("days", [0, 1e-4, 0.1, 1, 9, 70, 4000, 40_000])
def test_times_of_any_distance_have_few_labels(days: float) -> None:
    found = scale.of_times([START, START + timedelta(days=days)])
    assert len(found.ticks) <= 6
    assert all(0 <= found.share(tick.value) <= 1 for tick in found.ticks)


def test_names_have_labels_at_equal_distances() -> None:
    found = scale.of_names([f"epoch-{n}" for n in range(10)])
    assert texts(found) == ["epoch-0", "epoch-2", "epoch-4", "epoch-6", "epoch-8"]
    assert scale.of_names(["one"]).share(Decimal(0)) == 0
