"""Draws a figure with characters, never wider than its terminal."""

from __future__ import annotations

import string
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from snakeval.config.checkpoints import number
from snakeval.ledger.plain_text import visible
from snakeval.results.curves import words
from snakeval.results.curves.points import FAILED, Curve, Figure, Point
from snakeval.results.readable import score_text
from snakeval.results.svg import scale
from snakeval.results.svg.scale import Scale, decimal

_HEIGHT = 13
_NARROWEST = 30
#: The marks of several curves; one curve has dots.
_LETTERS = string.ascii_lowercase + string.ascii_uppercase
_BEST, _LAST, _POINT, _RANGE, _RULE, _CROSS, _WAITS = "●○•│┄×·"
#: For terminals that have no other characters.
_PLAIN = str.maketrans("●○•│┄×·┤└─┬–−…", "@o*|-x.|+-+--.")


@dataclass
class _Canvas:
    """Cells of a plot. A character replaces another one of a lower rank only."""

    x: Scale
    y: Scale
    width: int

    def __post_init__(self) -> None:
        self.cells = [[" "] * self.width for _ in range(_HEIGHT)]
        self._ranks = [[0] * self.width for _ in range(_HEIGHT)]

    def column(self, value: Decimal) -> int:
        """Return the column of a value."""
        return round(self.x.share(value) * (self.width - 1))

    def row(self, value: float) -> int:
        """Return the row of a score, from the top."""
        return round((1 - self.y.share(decimal(value))) * (_HEIGHT - 1))

    def put(self, row: int, column: int, character: str, rank: int) -> None:
        """Write a character, unless a more important one is there."""
        if rank >= self._ranks[row][column]:
            self.cells[row][column] = character
            self._ranks[row][column] = rank


def plain(line: str) -> str:
    """Return a line in ASCII, as far as snakeval wrote it."""
    return line.translate(_PLAIN)


def draw(figure: Figure, width: int, *, by_time: bool = False) -> list[str]:
    """Return the lines of a figure, each of at most *width* characters, if that is not too few."""
    width = max(width, _NARROWEST)
    better = words.direction(figure)
    head = f"{figure.benchmark}: {figure.title or 'no score yet'}{f', {better}' if better else ''}"
    lines = _wrapped(head, width)
    if any(curve.scored for curve in figure.curves):
        lines += _plot(figure, width, by_time=by_time and figure.has_times)
    for letter, curve in zip(_marks(figure), figure.curves, strict=True):
        lines += _wrapped(f"{letter} {_summary(curve)}", width)
    for baseline in figure.baselines:
        lines += _wrapped(f"{_RULE} {baseline.name}: {score_text(baseline.value)}", width)
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(visible(text, ""), width, subsequent_indent="  ") or [""]


def _marks(figure: Figure) -> list[str]:
    if len(figure.curves) == 1:
        return [_POINT]
    return [_LETTERS[n % len(_LETTERS)] for n in range(len(figure.curves))]


def _summary(curve: Curve) -> str:
    best, last = curve.best, curve.last
    lacks = words.missing(curve.missing)
    if best is None or last is None:
        return f"{curve.name}: no score yet ({lacks})"
    text = f"{curve.name}: best{' and last' * (best is last)} {score_text(best.value)}"
    text += f" at {best.step}"
    if range_ := words.interval(best):
        text += f" (95 %: {range_})"
    if best is not last:
        text += f", last {score_text(last.value)} at {last.step}"
    return f"{text}; {lacks}" if lacks else text


def _plot(figure: Figure, width: int, *, by_time: bool) -> Iterator[str]:
    """Yield the plot: marks over the axis, and its labels."""
    scored = [p for curve in figure.curves for p in curve.scored]
    ends = [(p.value, p.low, p.high) for p in scored] if len(figure.curves) == 1 else []
    values = [v for group in ends for v in group if v is not None]
    values += [point.value for point in scored if point.value is not None]
    values += [baseline.value for baseline in figure.baselines]
    y = scale.of_scores(values)
    margin = max(len(tick.text) for tick in y.ticks) + 2
    wanted = max(2, (width - margin) // 10)
    x, place = _across(figure, wanted, by_time)
    canvas = _Canvas(x, y, width - margin)
    axis = _axis(canvas, figure, place)
    _fill(canvas, figure, place)
    labels = {canvas.row(float(tick.value)): tick.text for tick in y.ticks}
    for n, cells in enumerate(canvas.cells):
        edge = "┤" if n in labels else "│"
        yield f"{labels.get(n, ''):>{margin - 2}} {edge}{''.join(cells)}".rstrip()
    yield f"{'':>{margin - 1}}└{axis}"
    yield from _labels(canvas, margin, figure.time_axis if by_time else figure.axis)


Place = Callable[[Point], Decimal | None]


def _across(figure: Figure, wanted: int, by_time: bool) -> tuple[Scale, Place]:
    if by_time:
        times = [p.time for curve in figure.curves for p in curve.scored if p.time]
        found = scale.of_times(times, wanted)
        return (
            found,
            lambda point: (
                scale.seconds(point.time) if point.time and point.value is not None else None
            ),
        )
    steps = figure.steps
    if figure.is_numeric:
        values = [number(step) or Decimal(0) for step in steps]
        return scale.of_steps(values, wanted), lambda point: number(point.step)
    index = {step: Decimal(n) for n, step in enumerate(steps)}
    return scale.of_names(steps, wanted), lambda point: index[point.step]


def _fill(canvas: _Canvas, figure: Figure, place: Place) -> None:
    """Write baselines, intervals and points; later ranks lie on top."""
    for baseline in figure.baselines:
        for column in range(canvas.width):
            canvas.put(canvas.row(baseline.value), column, _RULE, 1)
    for mark, curve in zip(_marks(figure), figure.curves, strict=True):
        for point in curve.scored:
            at = place(point)
            if at is None or point.value is None:
                continue
            column = canvas.column(at)
            if len(figure.curves) > 1:
                canvas.put(canvas.row(point.value), column, mark, 3)
                continue
            if point.low is not None and point.high is not None:
                for row in range(canvas.row(point.high), canvas.row(point.low) + 1):
                    canvas.put(row, column, _RANGE, 2)
            kind = _BEST if point is curve.best else _LAST if point is curve.last else mark
            canvas.put(canvas.row(point.value), column, kind, 4 if kind != mark else 3)


def _axis(canvas: _Canvas, figure: Figure, place: Place) -> str:
    """Return the axis, with its ticks and the checkpoints that have no score."""
    cells = ["─"] * canvas.width
    for tick in canvas.x.ticks:
        cells[canvas.column(tick.value)] = "┬"
    for curve in figure.curves:
        for point in curve.missing:
            if (at := place(point)) is not None:
                failed = point.status == FAILED or cells[canvas.column(at)] == _CROSS
                cells[canvas.column(at)] = _CROSS if failed else _WAITS
    return "".join(cells)


def _labels(canvas: _Canvas, margin: int, axis: str) -> Iterator[str]:
    """Yield the labels of the horizontal axis, as far as they do not overlap, and its name."""
    total = margin + canvas.width
    for kind in ("text", "below"):
        line = ""
        for tick in canvas.x.ticks:
            text = visible(getattr(tick, kind), "")
            middle = margin + canvas.column(tick.value)
            start = min(max(0, middle - len(text) // 2), total - len(text))
            if text and start > len(line.rstrip()) + (1 if line else -1):
                line = line.ljust(start) + text
        if line:
            yield line
    yield f"{visible(axis, ''):>{total}}"
