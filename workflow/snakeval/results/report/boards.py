"""The tables of scores of the report: a ranking or a benchmark, its models, plots and leads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from snakeval.results.comparison import Compared, Measured, goodness
from snakeval.results.report.answer import Overall
from snakeval.results.report.plots import Plots, Row, axis_of
from snakeval.results.report.ranking import Ranked
from snakeval.results.svg.scale import Scale


@dataclass(frozen=True, slots=True)
class Line:
    """A model in a table of scores.

    Attributes:
        place: its place, or an empty text.
        mark: why it has no place, or an empty text.
        gap: how far it is behind the best model; None for the best one, or if unknown.
        p: the corrected p-value of the gap; None without one.
        significant: whether the gap is significant.
    """

    row: Row
    place: str = ""
    mark: str = ""
    gap: float | None = None
    p: float | None = None
    significant: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """A table of scores. *about* is what the average of a ranking covers."""

    title: str
    metric: str
    lines: tuple[Line, ...]
    plots: Plots
    about: str = ""
    lower_is_better: bool = False

    @property
    def has_gaps(self) -> bool:
        """Whether the table has a column of gaps to the best model."""
        return any(line.gap is not None for line in self.lines)

    @property
    def has_p(self) -> bool:
        """Whether the table has a column of p-values."""
        return any(line.p is not None for line in self.lines)


def of_rankings(found: Sequence[Overall], shared: Mapping[str, Scale]) -> Iterator[Board]:
    """Yield a table for each ranking."""
    for each in found:
        ranking = each.ranking
        leads = {lead.model: lead for lead in each.leads}
        lines = []
        for ranked in ranking.rows:
            lead = leads.get(ranked.model)
            gap = None if lead is None else lead.gain.value
            lines.append(
                Line(
                    _of_average(ranked),
                    "" if ranked.place is None else str(ranked.place),
                    f"without {', '.join(ranked.lacks)}" if ranked.lacks else "",
                    gap if gap is None or ranking.lower_is_better else -gap,
                    significant=lead is not None and lead.significant,
                )
            )
        axis = axis_of(line.row for line in lines)
        names = ", ".join(ranking.benchmarks)
        about = f"mean over {len(ranking.benchmarks)}: {names}"
        plots = Plots(axis, shared.get(ranking.metric, axis))
        yield Board(
            ranking.metric, ranking.metric, tuple(lines), plots, about, ranking.lower_is_better
        )


def _of_average(ranked: Ranked) -> Row:
    average = ranked.average
    return Row(ranked.model, average.value or 0.0, average.low, average.high, average.note)


def of_benchmark(
    name: str,
    measured: Sequence[Measured],
    compared: Mapping[tuple[str, str, str], Compared],
    shared: Mapping[str, Scale],
) -> Board | None:
    """Return the table of a benchmark; None if no model has a score.

    *compared* has the comparisons by benchmark and models.
    """
    if not measured:
        return None
    found = sorted(measured, key=goodness, reverse=True)
    best = found[0]
    lines = []
    place = 0
    for number, one in enumerate(found, 1):
        if number == 1 or goodness(one) != goodness(found[number - 2]):
            place = number
        row = row_of(one)
        gap, p, sure = None, None, False
        if number > 1:
            pair = compared.get((name, one.model, best.model))
            turned = compared.get((name, best.model, one.model))
            if either := pair or turned:
                value = either.difference.value
                gap = value if pair or value is None else -value
                p, sure = either.corrected, either.significant
        lines.append(Line(row, str(place), "", gap, p, sure))
    axis = axis_of(line.row for line in lines)
    metric = " ".join(filter(None, best.key))
    plots = Plots(axis, shared.get(best.metric.metric, axis))
    lower = best.metric.higher_is_better is False
    return Board(name, metric, tuple(lines), plots, lower_is_better=lower)


def row_of(one: Measured) -> Row:
    """Return the row of a finished evaluation."""
    ends = one.interval
    return Row(one.model, one.metric.value, ends.low, ends.high, ends.note)


def shared_axes(measured: Sequence[Measured], overall: Sequence[Overall]) -> dict[str, Scale]:
    """Return one axis for all plots of a metric."""
    rows: dict[str, list[Row]] = {}
    for one in measured:
        rows.setdefault(one.metric.metric, []).append(row_of(one))
    for each in overall:
        own = rows.setdefault(each.ranking.metric, [])
        own.extend(_of_average(ranked) for ranked in each.ranking.rows)
    return {metric: axis_of(found) for metric, found in rows.items()}
