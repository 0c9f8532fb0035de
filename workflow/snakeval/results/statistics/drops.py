"""Drops of a curve: whether its newest point is worse than the best points before it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from snakeval.results.statistics.differences import POWER, Difference, difference, unpaired
from snakeval.results.statistics.intervals import Interval
from snakeval.results.statistics.samples import Scores

#: The mean of so many of the best earlier points is what a new point is compared with.
BEST = 3
#: The chance that a curve without any drop alarms once or more often. At 5 %, a drop by 10 points
#: of 1,000 samples is found as often (tests/campaigns/alarms.py): the stricter bound costs nothing.
FALSE_ALARMS = 0.02


@dataclass(frozen=True, slots=True)
class Point:
    """A score of a curve.

    Attributes:
        name: its checkpoint, for messages.
        value: the score.
        interval: its interval, which counts if a point has no samples.
        scores, scale: its samples' scores, and the factor between them and ``value``.
    """

    name: str
    value: float
    interval: Interval
    scores: Scores | None = None
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Drop:
    """How much worse a point is than the best points before it.

    Attributes:
        value: mean of the best earlier points minus the point, positive if the point is worse;
            in the unit of the scores.
        best: the best earlier points, best first.
        significant: whether the curve dropped. At most :data:`FALSE_ALARMS` of the curves without
            a drop have one point or more for which this is true.
        p, level: the smallest p-value, one-sided, of the comparisons with ``best``, and the level
            that it must reach; None without a comparison.
        detectable: the smallest true drop that these samples show four times out of five.
        paired: whether the samples were compared one by one.
    """

    value: float
    best: tuple[Point, ...]
    significant: bool = False
    p: float | None = None
    level: float = 0.0
    detectable: float | None = None
    paired: bool = True


def level(decisions: int, candidates: int) -> float:
    """Return the level of one comparison in the decision number *decisions* of a curve, from 1.

    Decision m may spend ``FALSE_ALARMS / (m (m + 1))``. These shares add up to
    ``FALSE_ALARMS`` however long the curve gets. Which points are the best depends on the scores
    themselves, so each of the *candidates* counts as compared (Bonferroni).
    """
    return FALSE_ALARMS / (decisions * (decisions + 1)) / candidates


def best_of(points: Sequence[Point], higher_is_better: bool = True) -> tuple[Point, ...]:
    """Return the best :data:`BEST` of *points*, best first; of equal ones the first."""
    sign = 1.0 if higher_is_better else -1.0
    return tuple(sorted(points, key=lambda point: -sign * point.value)[:BEST])


def drop(
    point: Point, earlier: Sequence[Point], decisions: int, higher_is_better: bool = True
) -> Drop | None:
    """Return how much worse *point* is than the best of *earlier*; None without an earlier point.

    The point is compared with each of the best :data:`BEST` earlier ones by the paired test of
    :func:`~snakeval.results.statistics.differences.difference`. One comparison at its
    :func:`level` is enough: the union of all pairs of a curve bounds the false alarms, whatever the
    choice of the best. *decisions* is the number of this decision in the curve, from 1. Each
    decision of a curve has its own number, also if checkpoints finish out of order.
    """
    if not earlier:
        return None
    sign = 1.0 if higher_is_better else -1.0
    best = best_of(earlier, higher_is_better)
    value = sign * (math.fsum(other.value for other in best) / len(best) - point.value)
    limit = level(decisions, len(earlier))
    found = [_compared(other, point) for other in best]
    known = [(_worse(one, sign), one, paired) for one, paired in found if one is not None]
    known = [entry for entry in known if not math.isnan(entry[0])]
    if not known:
        return Drop(value, best, level=limit, paired=False)
    p, strongest, paired = min(known, key=lambda entry: entry[0])
    return Drop(
        value, best, value > 0 and p <= limit, p, limit, _smallest(strongest, limit), paired
    )


def _compared(other: Point, point: Point) -> tuple[Difference | None, bool]:
    """Return how much higher *other* scores than *point*, and whether samples were paired."""
    if other.scores is not None and point.scores is not None and other.scale == point.scale:
        paired = difference(other.scores, point.scores, point.scale)
        if paired.p is not None:
            return paired, True
    return unpaired(other.value, other.interval, point.value, point.interval), False


def _worse(found: Difference, sign: float) -> float:
    """Return the one-sided p-value of "the point is worse"."""
    if found.value is None or found.p is None:
        return math.nan
    return found.p / 2 if sign * found.value > 0 else 1 - found.p / 2


def _smallest(found: Difference, limit: float) -> float | None:
    """Return the smallest true drop that a comparison at level *limit* finds with :data:`POWER`.

    ``detectable`` of the comparison is at the two-sided 5 % level. The ratio of the two is that of
    the normal quantiles (Miller 2024, arXiv:2411.00640, section 5).
    """
    if found.detectable is None:
        return None
    from scipy import stats

    power = float(stats.norm.ppf(POWER))
    usual = float(stats.norm.isf(0.025)) + power
    return found.detectable * (float(stats.norm.isf(limit)) + power) / usual
