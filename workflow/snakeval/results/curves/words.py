"""Describes figures, curves and points in words, for tables, screen readers and terminals."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC

from snakeval.results.curves.points import FAILED, LEFT_OUT, MISSING, Curve, Figure, Point
from snakeval.results.readable import score_text

_STATUS = {FAILED: "failed", MISSING: "not evaluated", LEFT_OUT: "left out", "done": ""}
#: A screen reader reads the curves up to this number one by one.
_READ = 12


def direction(figure: Figure) -> str:
    """Return which scores are better, if the harness reports it."""
    if figure.higher_is_better is None:
        return ""
    return "higher is better" if figure.higher_is_better else "lower is better"


def status(point: Point) -> str:
    """Return the state of a point and its reason; its note if it has a score."""
    if point.value is not None:
        return point.note
    return f"{state(point)}: {point.reason}" if point.reason else state(point)


def state(point: Point) -> str:
    """Return the state of a point without a score."""
    return _STATUS.get(point.status, point.status)


def interval(point: Point) -> str:
    """Return the 95 % interval of a point, if it has one."""
    if point.low is None or point.high is None:
        return ""
    return f"{score_text(point.low)} – {score_text(point.high)}"


def moment(point: Point) -> str:
    """Return the time of a point."""
    return "" if point.time is None else f"{point.time.astimezone(UTC):%Y-%m-%d %H:%M}"


def of_point(curve: Curve, point: Point, *kinds: str) -> str:
    """Return a line about a point, as its tooltip has it."""
    text = f"{curve.name} at {point.step}"
    if point.value is None:
        return f"{text}: {status(point)}"
    found = f"{text}: {score_text(point.value)}"
    if kinds:
        found += f", {' and '.join(kinds)}"
    if range_ := interval(point):
        found += f" (95 %: {range_})"
    return f"{found}, {point.note}" if point.note else found


def missing(points: Iterable[Point]) -> str:
    """Return how many of *points*, which have no score, are in each state."""
    counts: dict[str, int] = {}
    for point in points:
        known = state(point)
        counts[known] = counts.get(known, 0) + 1
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def described(figure: Figure) -> str:
    """Return what a plot shows, for a person who does not see it."""
    sentences = [_described(curve, figure) for curve in figure.curves[:_READ]]
    if more := figure.curves[_READ:]:
        sentences.append(f"And {len(more)} more, which the table has.")
    for baseline in figure.baselines[:_READ]:
        sentences.append(f"Baseline {baseline.name}: {score_text(baseline.value)}.")
    return " ".join(sentences)


def _described(curve: Curve, figure: Figure) -> str:
    best, last, scored = curve.best, curve.last, curve.scored
    if best is None or last is None:
        return f"{curve.name}: no score yet ({missing(curve.missing)})."
    span = f"{figure.axis} {scored[0].step}"
    if len(scored) > 1:
        span += f" to {last.step}"
    lacks = f" Without a score: {missing(curve.missing)}." if curve.missing else ""
    return (
        f"{curve.name}: {len(scored)} checkpoint{'s' * (len(scored) > 1)}, {span}. "
        f"Best {score_text(best.value)} at {best.step}, "
        f"last {score_text(last.value)} at {last.step}.{lacks}"
    )
