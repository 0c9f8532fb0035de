"""Rows of tables as curves: which points, in which order, and which of them is best and last."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from snakeval.results.curves.grouping import figures
from snakeval.results.curves.points import Figure, Place, Source
from support.curves import only, row, source


def test_the_checkpoints_of_a_series_are_points_by_their_steps() -> None:
    figure = only(source(row("r@1000", 0.5), row("r@200", 0.7), row("r@0300", 0.7)))
    (curve,) = figure.curves
    assert [point.step for point in curve.points] == ["200", "0300", "1000"]
    assert (figure.benchmark, figure.metric, figure.axis) == ("b", "acc", "step")
    assert curve.best is curve.points[0]
    assert curve.last is curve.points[2]
    assert (curve.points[2].low, curve.points[2].high) == pytest.approx((0.4, 0.6))


def test_if_lower_is_better_the_lowest_is_best() -> None:
    rows = [row("r@1", 0.9, higher_is_better=False), row("r@2", 0.4, higher_is_better=False)]
    (curve,) = only(source(*rows)).curves
    assert curve.best is not None
    assert curve.best.step == "2"


def test_a_model_of_no_series_is_a_baseline_of_its_benchmark() -> None:
    rows = [row("r@1", 0.5), row("base", 0.4), row("r@1", 0.5, "c"), row("other", None, "c")]
    b, c = figures([source(*rows)])
    assert [(each.name, each.value) for each in b.baselines] == [("base", 0.4)]
    assert c.baselines == ()


def test_a_baseline_of_another_run_has_its_name() -> None:
    figure = only(source(row("r@1", 0.5)), source(row("base", 0.4), name="77fe"))
    assert [each.name for each in figure.baselines] == ["base (77fe)"]
    assert [curve.name for curve in figure.curves] == ["r"]


def test_series_of_several_runs_are_several_curves() -> None:
    figure = only(source(row("r@1", 0.5)), source(row("r@1", 0.6), name="77fe"))
    assert [curve.name for curve in figure.curves] == ["r · 8b1a", "r · 77fe"]


def test_other_values_of_the_pattern_are_curves_of_their_own() -> None:
    names = ("r@lr-1_step-5", "r@lr-2_step-5")
    places = {
        name: Place("r", "5", others=(("lr", lr),)) for name, lr in zip(names, "12", strict=True)
    }
    figure = only(Source("8b1a", [row(name, 0.5) for name in names], places))
    assert [curve.name for curve in figure.curves] == ["r lr=1", "r lr=2"]


def test_what_has_no_score_is_a_point_with_its_status() -> None:
    rows = [row("r@1", 0.5), row("r@2", status="failed", reason="lost"), row("r@3")]
    (curve,) = only(source(*rows)).curves
    assert [(p.step, p.status, p.reason) for p in curve.missing] == [
        ("2", "failed", "lost"), ("3", "pending", ""),
    ]  # fmt: skip
    assert curve.last is curve.points[0]


def test_a_benchmark_without_a_score_is_a_figure_without_a_metric() -> None:
    figure = only(source(row("r@1")))
    assert (figure.metric, figure.curves[0].best, figure.curves[0].last) == ("", None, None)


def test_only_the_headline_is_drawn_unless_all_metrics_are_wanted() -> None:
    rows = [row("r@1", 0.5), row("r@1", 0.9, metric="f1")]
    headlines = {"b": ("t", "acc", "")}
    assert [f.metric for f in figures([source(*rows, headlines=headlines)])] == ["acc"]
    every = figures([source(*rows, headlines=headlines)], all_metrics=True)
    assert [f.metric for f in every] == ["acc", "f1"]


def timed(*seen: float) -> Figure:
    """The figure of checkpoints that heads saw at these seconds, evaluated on as many days."""
    days = range(1, len(seen) + 1)
    rows = [row(f"r@{n}", 0.5, finished=f"2026-01-0{n}T00:00:00+00:00") for n in days]
    places = {f"r@{n}": Place("r", str(n), seen=at) for n, at in zip(days, seen, strict=True)}
    return only(Source("8b1a", rows, places))


def test_a_point_has_the_time_at_which_its_checkpoint_was_found() -> None:
    figure = timed(86400, 2 * 86400, 3 * 86400)
    assert [point.time for point in figure.curves[0].points] == [
        datetime(1970, 1, day, tzinfo=UTC) for day in (2, 3, 4)
    ]
    assert (figure.time_axis, figure.has_times) == ("time when found (UTC)", True)


@pytest.mark.parametrize("seen", [(0.0, 0.0), (9.0, 9.0), (9.0, 0.0), (9.0, 9.0, 9.0, 10.0)])
def test_checkpoints_found_at_once_have_the_times_of_their_results(seen: tuple[float]) -> None:
    figure = timed(*seen)
    assert figure.time_axis == "time of evaluation (UTC)"
    assert figure.curves[0].points[1].time == datetime(2026, 1, 2, tzinfo=UTC)
    assert not only(source(row("r@1", 0.5), row("r@2", 0.5))).has_times


def test_equal_weights_and_a_deleted_checkpoint_are_notes() -> None:
    places = {"r@1": Place("r", "1"), "r@2": Place("r", "2", same_as="r@1", gone=True)}
    figure = only(Source("8b1a", [row("r@1", 0.5), row("r@2", 0.5)], places))
    assert [point.note for point in figure.curves[0].points] == [
        "", "weights equal to r@1, its checkpoint is gone",
    ]  # fmt: skip
