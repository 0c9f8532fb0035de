"""The nouns of curves: the points of a series, and what is known of them.

The models of a series are its checkpoints. Each one is a point of the series' curves, whose place
is its step or its time. Models of no series are baselines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Any

from snakeval.config.checkpoints import number

#: A task, a metric and a filter: what a curve shows of its benchmark.
Key = tuple[str, str, str]
#: The statuses of rows without a result, in the order of their gravity.
FAILED, MISSING, LEFT_OUT = "failed", "pending", "skipped"
#: The names of an axis of time: of the checkpoints, or of the results.
FOUND, EVALUATED = "time when found (UTC)", "time of evaluation (UTC)"


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a model in a series.

    Attributes:
        step: the value that is the step, as in the checkpoint's path.
        axis: the name of that value, such as ``step``.
        others: the other values with their names; each combination of them is a curve.
        seen: when a head saw the checkpoint first, in seconds since 1970; 0 if that is unknown.
        same_as: the checkpoint with equal weights whose result this is; empty for its own.
        gone: whether the checkpoint was deleted.
    """

    series: str
    step: str
    axis: str = "step"
    others: tuple[tuple[str, str], ...] = ()
    seen: float = 0.0
    same_as: str = ""
    gone: bool = False

    @property
    def curve(self) -> str:
        """The name of its curve.

        >>> Place("run7", "200", others=(("lr", "1e-5"),)).curve
        'run7 lr=1e-5'
        """
        return " ".join([self.series, *(f"{name}={value}" for name, value in self.others)])


@dataclass(frozen=True, slots=True)
class Source:
    """The results of one run.

    Attributes:
        name: the run's name; curves have it if there are several runs.
        rows: the rows of the run's table, see :func:`snakeval.results.table.records`.
        places: the places of the models that are checkpoints.
        headlines: the main metric of each benchmark.
    """

    name: str
    rows: Sequence[Mapping[str, Any]]
    places: Mapping[str, Place] = field(default_factory=dict)
    headlines: Mapping[str, Key] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Point:
    """A checkpoint on one curve. ``value`` is None without a score; ``status`` then says why.

    Attributes:
        seen: when a head saw the checkpoint first.
        time: the time on an axis of time; see :attr:`Figure.time_axis`.
    """

    model: str
    step: str
    status: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    time: datetime | None = None
    seen: datetime | None = None
    reason: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Curve:
    """The points of one series of a run on one benchmark, by their steps."""

    name: str
    points: tuple[Point, ...]
    higher_is_better: bool = True
    run: str = ""

    @property
    def scored(self) -> tuple[Point, ...]:
        """The points that have a score."""
        return tuple(point for point in self.points if point.value is not None)

    @property
    def best(self) -> Point | None:
        """The point with the best score; of equal ones the first."""
        sign = 1 if self.higher_is_better else -1
        return max(self.scored, key=lambda point: sign * (point.value or 0.0), default=None)

    @property
    def last(self) -> Point | None:
        """The last point with a score."""
        return self.scored[-1] if self.scored else None

    @property
    def missing(self) -> tuple[Point, ...]:
        """The points without a score."""
        return tuple(point for point in self.points if point.value is None)


@dataclass(frozen=True, slots=True)
class Baseline:
    """The score of a model of no series."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """All curves of one metric of a benchmark. ``metric`` is empty without any score.

    ``time_axis`` says whose time that of a point is.
    """

    benchmark: str
    task: str
    metric: str
    filter: str
    axis: str
    curves: tuple[Curve, ...]
    baselines: tuple[Baseline, ...] = ()
    higher_is_better: bool | None = None
    time_axis: str = EVALUATED

    @property
    def title(self) -> str:
        """The metric in words, with its filter."""
        return f"{self.metric} ({self.filter})" if self.filter else self.metric

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps of all curves in their order, each once."""
        return ordered({point.step for curve in self.curves for point in curve.points})

    @property
    def is_numeric(self) -> bool:
        """Whether all steps are numbers."""
        return all(number(step) is not None for step in self.steps)

    @property
    def has_times(self) -> bool:
        """Whether each score has a time, and some times differ."""
        times = {point.time for curve in self.curves for point in curve.scored}
        return None not in times and len(times) > 1


def ordered(steps: Iterable[str]) -> tuple[str, ...]:
    """Return steps in their order: numbers by value, others as people sort them.

    >>> ordered(["1000", "200", "final"]), ordered(["b", "a10", "a9"])
    (('200', '1000', 'final'), ('a9', 'a10', 'b'))
    """
    return tuple(sorted(steps, key=order_of))


def order_of(step: str) -> tuple[Any, ...]:
    """Return the sort key of a step."""
    value = number(step)
    if value is not None:
        return 0, value, step
    parts = ("".join(part) for _, part in groupby(step, str.isdecimal))
    return 1, Decimal(0), [(int(p), "") if p.isdecimal() else (-1, p) for p in parts], step
