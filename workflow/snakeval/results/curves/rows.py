"""Curves as rows of plain data, for programs and spreadsheets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from snakeval.results.curves import words
from snakeval.results.curves.points import Figure, Point
from snakeval.results.readable import score_text

#: The keys of a row, in their order.
COLUMNS = (
    "run", "series", "benchmark", "task", "metric", "filter", "model", "step", "time", "value",
    "ci_low", "ci_high", "n", "status", "reason", "best", "last", "baseline",
)  # fmt: skip


def rows(figures: Iterable[Figure]) -> list[dict[str, Any]]:
    """Return a row for each point, with or without a score, and for each baseline."""
    return [row for figure in figures for row in _rows(figure)]


def _rows(figure: Figure) -> Iterator[dict[str, Any]]:
    shared = {
        "benchmark": figure.benchmark,
        "task": figure.task or None,
        "metric": figure.metric or None,
        "filter": figure.filter or None,
    }
    for curve in figure.curves:
        best, last = curve.best, curve.last
        for point in curve.points:
            here = {"run": curve.run, "series": curve.name, **shared, **_row(point)}
            yield {**here, "best": point is best, "last": point is last, "baseline": False}
    for baseline in figure.baselines:
        found = dict.fromkeys(COLUMNS, None) | shared
        bounds = {"ci_low": baseline.low, "ci_high": baseline.high}
        found |= {"model": baseline.name, "value": baseline.value, "status": "done", **bounds}
        yield {**found, "best": False, "last": False, "baseline": True}


def _row(point: Point) -> dict[str, Any]:
    return {
        "model": point.model,
        "step": point.step,
        "time": point.time.isoformat(timespec="seconds") if point.time else None,
        "value": point.value,
        "ci_low": point.low,
        "ci_high": point.high,
        "n": point.n,
        "status": point.status,
        "reason": point.reason or point.note or None,
    }


def table(figure: Figure) -> list[dict[str, str]]:
    """Return a readable row for each step of a figure, with a column for each curve."""
    index = [(c.name, {point.step: point for point in c.points}) for c in figure.curves]
    return [
        {figure.axis: step, **{name: _cell(points.get(step)) for name, points in index}}
        for step in figure.steps
    ]


def _cell(point: Point | None) -> str:
    if point is None:
        return ""
    if point.value is None:
        return words.state(point)
    range_ = words.interval(point)
    return f"{score_text(point.value)}  {range_}".rstrip()
