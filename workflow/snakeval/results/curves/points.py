"""Groups rows of results tables into curves: series × benchmark × metric. Pure.

The models of a series are its checkpoints. Each one is a point of the series' curves, whose place
is its step or its time. Models of no series are baselines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from typing import Any

from snakeval.config.checkpoints import number

#: A task, a metric and a filter: what a curve shows of its benchmark.
Key = tuple[str, str, str]
#: The statuses of rows without a result, in the order of their gravity.
FAILED, MISSING, LEFT_OUT = "failed", "pending", "skipped"


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a model in a series.

    Attributes:
        step: the value that is the step, as in the checkpoint's path.
        axis: the name of that value, such as ``step``.
        others: the other values with their names; each combination of them is a curve.
        seen: when a head saw the checkpoint first, in ISO 8601; empty if that is unknown.
        same_as: the checkpoint with equal weights whose result this is; empty for its own.
    """

    series: str
    step: str
    axis: str = "step"
    others: tuple[tuple[str, str], ...] = ()
    seen: str = ""
    same_as: str = ""

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
    """A checkpoint on one curve. ``value`` is None without a score; ``status`` then says why."""

    model: str
    step: str
    status: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    time: datetime | None = None
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
    """All curves of one metric of a benchmark. ``metric`` is empty without any score."""

    benchmark: str
    task: str
    metric: str
    filter: str
    axis: str
    curves: tuple[Curve, ...]
    baselines: tuple[Baseline, ...] = ()
    higher_is_better: bool | None = None

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
    return tuple(sorted(steps, key=_order))


def _order(step: str) -> tuple[Any, ...]:
    value = number(step)
    if value is not None:
        return 0, value, step
    parts = ("".join(part) for _, part in groupby(step, str.isdecimal))
    return 1, Decimal(0), [(int(p), "") if p.isdecimal() else (-1, p) for p in parts], step


def figures(sources: Sequence[Source], *, all_metrics: bool = False) -> list[Figure]:
    """Return a figure for each benchmark's main metric, or for each metric, in the rows' order."""
    groups = _Groups(several=len({s.name for s in sources if s.places}) > 1)
    for source in sources:
        for row in source.rows:
            if all_metrics or _is_headline(row, source.headlines):
                groups.add(source, row)
    return list(groups.figures())


def _is_headline(row: Mapping[str, Any], headlines: Mapping[str, Key]) -> bool:
    wanted = headlines.get(row["benchmark"])
    return not row.get("metric") or wanted is None or _key(row) == wanted


def _key(row: Mapping[str, Any]) -> Key:
    return row.get("task") or "", row.get("metric") or "", row.get("filter") or ""


class _Groups:
    """Collects points by benchmark, metric and curve."""

    def __init__(self, *, several: bool) -> None:
        self._several = several
        self._scored: dict[str, dict[Key, dict[str, list[Point]]]] = {}
        self._missing: dict[str, dict[str, list[Point]]] = {}
        self._baselines: dict[tuple[str, Key], list[Baseline]] = {}
        self._direction: dict[tuple[str, Key], bool | None] = {}
        self._axes: dict[str, list[str]] = {}
        self._runs: dict[str, str] = {}

    def add(self, source: Source, row: Mapping[str, Any]) -> None:
        """Add a row of the table of *source*."""
        benchmark, key = row["benchmark"], _key(row)
        place = source.places.get(row["model"])
        if place is None:
            if row.get("value") is not None:
                named = f"{row['model']} ({source.name})" if not source.places else row["model"]
                found = Baseline(named, row["value"], row.get("ci_low"), row.get("ci_high"))
                self._baselines.setdefault((benchmark, key), []).append(found)
            return
        curve = f"{place.curve} · {source.name}" if self._several else place.curve
        self._runs[curve] = source.name
        point = _point(row, place)
        axes = self._axes.setdefault(benchmark, [])
        if place.axis not in axes:
            axes.append(place.axis)
        if key[1]:
            curves = self._scored.setdefault(benchmark, {}).setdefault(key, {})
            curves.setdefault(curve, []).append(point)
            if self._direction.get((benchmark, key)) is None:
                self._direction[benchmark, key] = row.get("higher_is_better")
        else:
            self._missing.setdefault(benchmark, {}).setdefault(curve, []).append(point)

    def figures(self) -> Iterator[Figure]:
        """Yield the figures; a benchmark without a score has one without a metric."""
        for benchmark in self._axes:
            for key, curves in self._scored.get(benchmark, {("", "", ""): {}}).items():
                yield self._figure(benchmark, key, curves)

    def _figure(self, benchmark: str, key: Key, scored: Mapping[str, Sequence[Point]]) -> Figure:
        missing = self._missing.get(benchmark, {})
        direction = self._direction.get((benchmark, key))
        curves = [
            Curve(
                name,
                tuple(sorted([*scored.get(name, ()), *missing.get(name, ())], key=_order_of_point)),
                direction is not False,
                self._runs[name],
            )
            for name in dict.fromkeys([*scored, *missing])
        ]
        return Figure(
            benchmark,
            *key,
            axis=" or ".join(self._axes[benchmark]),
            curves=tuple(curves),
            baselines=tuple(self._baselines.get((benchmark, key), ())),
            higher_is_better=direction,
        )


def _order_of_point(point: Point) -> tuple[Any, ...]:
    return _order(point.step)


def _point(row: Mapping[str, Any], place: Place) -> Point:
    known: Callable[[str], Any] = row.get
    return Point(
        model=row["model"],
        step=place.step,
        status=row["status"],
        value=known("value"),
        low=known("ci_low"),
        high=known("ci_high"),
        n=known("n"),
        time=_time(place.seen or known("finished") or ""),
        reason=known("reason") or "",
        note=f"weights equal to {place.same_as}" if place.same_as else "",
    )


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
