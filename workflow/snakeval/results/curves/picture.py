"""Draws a figure: its curves with their bands, baselines, best and last points, and what lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

from markupsafe import Markup

from snakeval.config.checkpoints import number
from snakeval.results.curves import words
from snakeval.results.curves.points import FAILED, Baseline, Curve, Figure, Point
from snakeval.results.readable import score_text
from snakeval.results.svg import plot, scale
from snakeval.results.svg.plot import tag
from snakeval.results.svg.scale import Scale, decimal

#: Colours of the page's style; further curves repeat them with other strokes.
COLOURS = 10
#: With more points, a plot marks only the best and the last ones.
_DOTS = 400
#: With more curves, bands are paler, and with many a band is visible only with its curve chosen.
_SOME, _MANY = 4, 8
_LABELLED_RULES = 3
_MISSING_MARKS = 200


@dataclass(frozen=True, slots=True)
class _Axes:
    """The two axes of a plot; *place* returns the value of a point on the first one."""

    x: Scale
    y: Scale
    place: Callable[[Point], Decimal | None]

    def across(self, point: Point) -> float | None:
        """Return the horizontal share of a point; None if it has no place."""
        value = self.place(point)
        return None if value is None else self.x.share(value)

    def up(self, value: float) -> float:
        """Return the vertical share of a score."""
        return self.y.share(decimal(value))


def style(index: int) -> str:
    """Return the classes of a curve: its colour, its stroke, and its own one."""
    return f"curve c{index % COLOURS} s{index // COLOURS % 4} n{index}"


def by_step(figure: Figure, name: str) -> Markup:
    """Return the plot of *figure* over its steps; *name* is unique in the page."""
    steps = figure.steps
    if figure.is_numeric:
        found = scale.of_steps([number(step) or Decimal(0) for step in steps])
        return _draw(figure, name, _Axes(found, _scores(figure), lambda point: number(point.step)))
    index = {step: Decimal(n) for n, step in enumerate(steps)}
    axes = _Axes(scale.of_names(steps), _scores(figure), lambda point: index[point.step])
    return _draw(figure, name, axes)


def by_time(figure: Figure, name: str) -> Markup:
    """Return the plot of *figure* over the time of its points."""
    scored = [point for curve in figure.curves for point in curve.scored]
    times = scale.of_times([point.time for point in scored if point.time])

    def place(point: Point) -> Decimal | None:
        return scale.seconds(point.time) if point.time and point.value is not None else None

    return _draw(figure, f"{name}-time", _Axes(times, _scores(figure), place))


def _scores(figure: Figure) -> Scale:
    """Return the vertical axis: all scores, intervals and baselines are on it."""
    everything: list[Point | Baseline] = [p for curve in figure.curves for p in curve.scored]
    everything += figure.baselines
    values = [value for e in everything for value in (e.value, e.low, e.high) if value is not None]
    return scale.of_scores(values)


def _draw(figure: Figure, name: str, axes: _Axes) -> Markup:
    curves = list(enumerate(figure.curves))
    few = sum(len(curve.points) for curve in figure.curves) <= _DOTS
    return plot.image(
        name,
        f"{figure.benchmark}: {figure.title}",
        words.described(figure),
        plot.frame(axes.x, axes.y),
        *_rules(figure, axes),
        plot.layer(*(_stretched(n, curve, axes) for n, curve in curves)),
        tag("g", *_missing(figure.curves, axes), class_="missing"),
        *(_marks(n, curve, axes, few, 4.5 if len(curves) <= _MANY else 3.2) for n, curve in curves),
        *_labels(figure, axes),
        *_names_of_rules(figure, axes),
        kind="many" if len(curves) > _MANY else "some" if len(curves) > _SOME else "",
    )


def _stretched(index: int, curve: Curve, axes: _Axes) -> Markup:
    """Return a curve's band and its line."""
    placed = _placed(curve, axes)
    parts = []
    for has_interval, points in groupby(placed, key=lambda pair: pair[1].low is not None):
        run = list(points)
        if has_interval and len(run) > 1:
            ends = [(x, axes.up(p.low or 0.0), axes.up(p.high or 0.0)) for x, p in run]
            parts.append(plot.band([(x, high) for x, _, high in ends], [e[:2] for e in ends]))
    spots = [(x, axes.up(point.value or 0.0)) for x, point in placed]
    if len(spots) > 1:
        parts.append(plot.line(spots))
    return tag("g", *parts, class_=style(index))


def _placed(curve: Curve, axes: _Axes) -> list[tuple[float, Point]]:
    """Return the scored points with their places, from left to right."""
    found = [(axes.across(point), point) for point in curve.scored]
    return sorted(((x, p) for x, p in found if x is not None), key=lambda pair: pair[0])


def _marks(index: int, curve: Curve, axes: _Axes, few: bool, radius: float) -> Markup:
    """Return the marks of a curve's points, which keep their size."""
    best, last = curve.best, curve.last
    parts = []
    for x, point in _placed(curve, axes):
        kinds = [k for k, p in (("best", best), ("last", last)) if p is point]
        spot = (x, axes.up(point.value or 0.0))
        if len(curve.scored) == 1 and point.low is not None and point.high is not None:
            parts.append(plot.whisker(x, axes.up(point.low), axes.up(point.high)))
        if kinds:
            title = words.of_point(curve, point, *kinds)
            parts.append(plot.mark(" ".join(kinds), spot, radius, title))
        elif few:
            parts.append(plot.mark("dot", spot, 2.2, words.of_point(curve, point)))
    return tag("g", *parts, class_=style(index))


def _labels(figure: Figure, axes: _Axes) -> Iterator[Markup]:
    """Yield the labels of an only curve's best and last point; several curves have a table."""
    if len(figure.curves) != 1:
        return
    (curve,) = figure.curves
    best, last, up = curve.best, curve.last, curve.higher_is_better
    if best is None or last is None:
        return
    named = [("best", best, up), ("last", last, not up)]
    for name, point, above in [("best and last", best, up)] if best is last else named:
        x = axes.across(point)
        if x is not None and point.value is not None:
            spot = (x, axes.up(point.value))
            text = f"{name} {score_text(point.value)}"
            yield plot.label(text, spot, above=above, beside=len(curve.scored) == 1)


def _rules(figure: Figure, axes: _Axes) -> Iterator[Markup]:
    """Yield the baselines as lines."""
    for baseline in figure.baselines:
        at = axes.up(baseline.value)
        if baseline.low is None or baseline.high is None:
            yield plot.rule(at)
        else:
            yield plot.rule(at, axes.up(baseline.low), axes.up(baseline.high))


def _names_of_rules(figure: Figure, axes: _Axes) -> Iterator[Markup]:
    """Yield the names of a few baselines, each at the side with the fewest points around it."""
    if len(figure.baselines) > _LABELLED_RULES:
        return
    taken = [
        (x, axes.up(p.value or 0.0)) for curve in figure.curves for x, p in _placed(curve, axes)
    ]
    for baseline in figure.baselines:
        at = axes.up(baseline.value)
        crowds = {side: _crowd(taken, side, at) for side in (1.0, 0.0, 0.5)}
        spot = (min(crowds, key=lambda side: crowds[side]), at)
        text = f"{baseline.name} {score_text(baseline.value)}"
        yield plot.label(text, spot, above=at < 0.93, kind="label base")
        taken += [spot] * _DOTS  # the next name goes elsewhere


def _crowd(taken: Sequence[plot.Spot], x: float, y: float) -> int:
    """Return how many points are where a name above *y* would be."""
    return sum(abs(x - other) < 0.25 and -0.04 < up - y < 0.12 for other, up in taken)


def _missing(curves: Sequence[Curve], axes: _Axes) -> Iterable[Markup]:
    """Return crosses on the axis for checkpoints that failed, and dots for those to come."""
    found: dict[float, list[tuple[Curve, Point]]] = {}
    for curve in curves:
        for point in curve.missing:
            if (x := axes.across(point)) is not None:
                found.setdefault(x, []).append((curve, point))
    for x, pairs in [*found.items()][:_MISSING_MARKS]:
        failed = any(point.status == FAILED for _, point in pairs)
        title = "\n".join(words.of_point(curve, point) for curve, point in pairs[:8])
        yield tag(
            "text",
            tag("title", title),
            "×" if failed else "·",
            x=plot.percent(x),
            y="100%",
            dy="-.25em",
            class_="failed" if failed else "waiting",
        )
