"""Ranks the models of a run by their averages over benchmarks of one metric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from snakeval.results.comparison import Repeated
from snakeval.results.statistics import averages as statistics
from snakeval.results.statistics.averages import Average
from snakeval.run.plan import Planned


@dataclass(frozen=True, slots=True)
class Ranked:
    """A model of a ranking.

    Attributes:
        place: its place; None if it lacks a benchmark, because its average is then of others.
        found: its results by benchmark.
        lacks: the benchmarks without a result.
    """

    model: str
    average: Average
    found: dict[str, Repeated]
    lacks: tuple[str, ...] = ()
    place: int | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """Models by their average over the benchmarks of one metric, the best first.

    Models that lack a benchmark follow the others, by the average of those that they have.
    """

    metric: str
    benchmarks: tuple[str, ...]
    rows: tuple[Ranked, ...]
    lower_is_better: bool = False

    @property
    def complete(self) -> tuple[Ranked, ...]:
        """The models with a result for each benchmark, which an average can compare."""
        return tuple(row for row in self.rows if row.place is not None)


def rankings(repeats: Sequence[Repeated], plan: Sequence[Planned]) -> Iterator[Ranking]:
    """Yield a ranking for each metric: snakeval does not average different metrics.

    A repeated benchmark counts as one, with the mean of its runs.
    """
    by_metric: dict[str, dict[str, dict[str, Repeated]]] = {}
    for one in repeats:
        first = one.runs[0]
        by_model = by_metric.setdefault(first.metric.metric, {})
        by_model.setdefault(first.model, {})[first.benchmark] = one
    wanted = dict.fromkeys(item.benchmark for item in plan)
    for metric, models in by_metric.items():
        names = tuple(b for b in wanted if any(b in found for found in models.values()))
        lower = all(
            one.runs[0].metric.higher_is_better is False
            for found in models.values()
            for one in found.values()
        )
        rows = [_ranked(metric, model, found, names) for model, found in models.items()]
        rows.sort(key=lambda row: (len(row.lacks) > 0, (row.average.value or 0) * _sign(lower)))
        yield Ranking(metric, names, tuple(_placed(rows)), lower)


def _sign(lower_is_better: bool) -> int:
    return 1 if lower_is_better else -1


def _ranked(metric: str, model: str, found: dict[str, Repeated], names: Sequence[str]) -> Ranked:
    lacks = tuple(name for name in names if name not in found)
    scores = {n: (metric, found[n].value, found[n].interval) for n in names if n in found}
    return Ranked(model, statistics.macro_average(scores), found, lacks)


def _placed(rows: Sequence[Ranked]) -> Iterator[Ranked]:
    """Yield the rows with their places; equal averages share one."""
    place = 0
    for number, row in enumerate(rows, 1):
        if row.lacks:
            yield row
            continue
        if number == 1 or row.average.value != rows[number - 2].average.value:
            place = number
        yield Ranked(row.model, row.average, row.found, row.lacks, place)
