"""Draws scores with their intervals as inline SVG, one for each row of a table.

A row's plot has any width. Two axes are drawn into it: that of its table, and one for all tables of
the page, which the page's style shows instead if the reader chooses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from snakeval.results.readable import score_text
from snakeval.results.svg import scale
from snakeval.results.svg.plot import percent, tag
from snakeval.results.svg.scale import Scale, decimal

#: Labels of an axis: few, as the plots are narrow.
_TICKS = 4


@dataclass(frozen=True, slots=True)
class Row:
    """A score with its interval, and the words that a screen reader reads for it."""

    name: str
    value: float
    low: float | None
    high: float | None
    note: str = ""

    @property
    def words(self) -> str:
        """The row in words."""
        known = self.low is not None and self.high is not None
        ends = f", {score_text(self.low)} to {score_text(self.high)}" if known else ""
        return f"{self.name}: {score_text(self.value)}{ends}" + (
            f" · {self.note}" * bool(self.note)
        )


def axis_of(rows: Iterable[Row]) -> Scale:
    """Return the axis that has room for all *rows*."""
    ends = [(row.value, row.low, row.high) for row in rows]
    return scale.of_scores([end for each in ends for end in each if end is not None], _TICKS)


@dataclass(frozen=True, slots=True)
class Plots:
    """The plots of a table: *own* is its axis, and *shared* that of the whole page."""

    own: Scale
    shared: Scale

    def row(self, row: Row) -> Markup:
        """Return the plot of a row."""
        parts = [self._marks(row, self.own, "own")]
        if self.shared != self.own:
            parts.append(self._marks(row, self.shared, "shared"))
        both = "" if len(parts) == 2 else " both"
        return tag("svg", tag("title", row.words), *parts, class_=f"row{both}", role="img")

    def _marks(self, row: Row, axis: Scale, kind: str) -> Markup:
        parts = []
        if row.low is not None and row.high is not None:
            ends = {"x1": _at(axis, row.low), "x2": _at(axis, row.high)}
            parts.append(tag("line", y1="50%", y2="50%", **ends))
        parts.append(tag("circle", cx=_at(axis, row.value), cy="50%", r="4.5"))
        return tag("g", *parts, class_=kind)

    def axis(self) -> Markup:
        """Return the labels of the axes; screen readers read the scores instead."""
        parts = [_labels(self.own, "own")]
        if self.shared != self.own:
            parts.append(_labels(self.shared, "shared"))
        both = "" if len(parts) == 2 else " both"
        return tag("svg", *parts, class_=f"ticks{both}", aria_hidden="true")

    @property
    def grid(self) -> str:
        """The numbers of the parts of both axes, for the lines that the page's style draws."""
        return f"--own:{len(self.own.ticks) - 1};--shared:{len(self.shared.ticks) - 1}"


def _labels(axis: Scale, kind: str) -> Markup:
    last = len(axis.ticks) - 1
    anchors: Sequence[str] = ["start", *["middle"] * (last - 1), "end"]
    labels = []
    for number, (tick, anchor) in enumerate(zip(axis.ticks, anchors, strict=True)):
        less = "less" if 0 < number < last else None  # a narrow screen has room for the ends only
        at = {"x": _at(axis, float(tick.value)), "y": "1em"}
        labels.append(tag("text", tick.text, text_anchor=anchor, class_=less, **at))
    return tag("g", *labels, class_=kind)


def _at(axis: Scale, value: float) -> str:
    return percent(axis.share(decimal(value)))
