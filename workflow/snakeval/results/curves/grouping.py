"""Groups rows of results tables into curves: series × benchmark × metric. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from snakeval.results.curves.points import (
    EVALUATED,
    FOUND,
    Baseline,
    Curve,
    Figure,
    Key,
    Place,
    Point,
    Source,
    order_of,
)


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
        time_axis = EVALUATED
        if _seen_one_by_one(curves):
            time_axis = FOUND
            curves = [
                replace(c, points=tuple(replace(p, time=p.seen) for p in c.points)) for c in curves
            ]
        return Figure(
            benchmark,
            *key,
            time_axis=time_axis,
            axis=" or ".join(self._axes[benchmark]),
            curves=tuple(curves),
            baselines=tuple(self._baselines.get((benchmark, key), ())),
            higher_is_better=direction,
        )


def _seen_one_by_one(curves: Iterable[Curve]) -> bool:
    """Whether heads saw the checkpoints while the training ran, and not all at one look."""
    for curve in curves:
        seen = {point.seen for point in curve.scored}
        if None in seen or len(seen) <= len(curve.scored) / 2:
            return False
    return True


def _order_of_point(point: Point) -> tuple[Any, ...]:
    return order_of(point.step)


def _point(row: Mapping[str, Any], place: Place) -> Point:
    known: Callable[[str], Any] = row.get
    notes = (
        f"weights equal to {place.same_as}" if place.same_as else "",
        "its checkpoint is gone" if place.gone else "",
    )
    return Point(
        model=row["model"],
        step=place.step,
        status=row["status"],
        value=known("value"),
        low=known("ci_low"),
        high=known("ci_high"),
        n=known("n"),
        time=_time(known("finished") or ""),
        seen=datetime.fromtimestamp(place.seen, UTC) if place.seen else None,
        reason=known("reason") or "",
        note=", ".join(filter(None, notes)),
    )


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
