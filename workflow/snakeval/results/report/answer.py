"""The answer on top of the report: the best model of each benchmark and on average.

The best model is chosen after the scores are known. A comparison of averages is therefore corrected
for all pairs of models (Bonferroni), and one on a benchmark for all comparisons of the report.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from snakeval.results.comparison import Compared, Measured, goodness
from snakeval.results.report.ranking import Ranked, Ranking
from snakeval.results.statistics import averages
from snakeval.results.statistics.averages import Average
from snakeval.results.statistics.differences import Difference
from snakeval.results.statistics.intervals import CONFIDENCE, Interval


@dataclass(frozen=True, slots=True)
class Lead:
    """How far the best model is ahead of another one, by the averages of both.

    ``gain`` is at least 0 and has the interval that the number of pairs requires.
    """

    model: str
    gain: Average

    @property
    def significant(self) -> bool:
        """Whether the interval of the lead excludes 0."""
        return self.gain.low is not None and self.gain.low > 0


@dataclass(frozen=True, slots=True)
class Overall:
    """The best models on average over the benchmarks of a metric: several if they are equal."""

    ranking: Ranking
    best: tuple[Ranked, ...]
    leads: tuple[Lead, ...]

    @property
    def ahead(self) -> tuple[Lead, ...]:
        """The leads that are significant."""
        return tuple(lead for lead in self.leads if lead.significant)

    @property
    def close(self) -> tuple[Lead, ...]:
        """The leads that are not significant, the smallest first."""
        rest = [lead for lead in self.leads if not lead.significant]
        return tuple(sorted(rest, key=lambda lead: lead.gain.value or 0.0))


@dataclass(frozen=True, slots=True)
class Winner:
    """The best models of a benchmark, and the lead over the next one if there is only one best."""

    benchmark: str
    best: tuple[Measured, ...]
    next: str = ""
    lead: Compared | None = None

    @property
    def gain(self) -> float | None:
        """The lead over the next model, which is at least 0."""
        value = self.lead.difference.value if self.lead else None
        return None if value is None else abs(value)


def overall(rankings: Iterable[Ranking]) -> Iterator[Overall]:
    """Yield the best on average for each ranking of models that have all benchmarks."""
    for ranking in rankings:
        best = tuple(row for row in ranking.complete if row.place == 1)
        rest = ranking.complete[len(best) :] if len(best) == 1 else ()
        pairs = len(ranking.complete) * (len(ranking.complete) - 1) // 2
        leads = tuple(Lead(row.model, _gain(ranking, best[0], row, pairs)) for row in rest)
        yield Overall(ranking, best, leads)


def _gain(ranking: Ranking, best: Ranked, other: Ranked, pairs: int) -> Average:
    """Return the mean lead over all benchmarks, with the interval for *pairs* comparisons."""
    confidence = 1 - (1 - CONFIDENCE) / max(1, pairs)
    found = {
        name: _benchmark(best.found[name].runs, other.found[name].runs, confidence)
        for name in ranking.benchmarks
    }
    if any(difference.value is None for difference in found.values()):
        return Average(caveat="no interval, as a benchmark cannot be compared")
    scores = {
        name: (ranking.metric, each.value or 0.0, Interval(each.low, each.high))
        for name, each in found.items()
    }
    gain = averages.macro_average(scores)
    if not ranking.lower_is_better or gain.value is None:
        return gain
    low, high = gain.low, gain.high
    ends = (None, None) if low is None or high is None else (-high, -low)
    return replace(gain, value=-gain.value, low=ends[0], high=ends[1])


def _benchmark(
    ours: Sequence[Measured], theirs: Sequence[Measured], confidence: float
) -> Difference:
    """Return the difference on a benchmark; of repeats, the mean of their differences and bounds.

    Repeats share their questions, so their errors are not independent: the mean of the bounds is
    the interval for errors that are equal.
    """
    pairs = list(zip(ours, theirs, strict=False))
    found = [Compared(a, b, Difference()).at(confidence) for a, b in pairs]
    if len(found) == 1:
        return found[0]
    return Difference(
        value=_mean([each.value for each in found]),
        low=_mean([each.low for each in found]),
        high=_mean([each.high for each in found]),
    )


def _mean(numbers: Sequence[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return sum(known) / len(known) if known and len(known) == len(numbers) else None


def winners(measured: Iterable[Measured], compared: Iterable[Compared]) -> Iterator[Winner]:
    """Yield the best models of each benchmark, with their lead in *compared*."""
    by_pair = {
        (each.a.benchmark, frozenset((each.a.model, each.b.model))): each for each in compared
    }
    benchmarks: dict[str, list[Measured]] = {}
    for one in measured:
        benchmarks.setdefault(one.benchmark, []).append(one)
    for name, found in benchmarks.items():
        same = [one for one in found if one.key == found[0].key]  # others have no common order
        same.sort(key=goodness, reverse=True)
        best = tuple(one for one in same if goodness(one) == goodness(same[0]))
        if len(best) > 1 or len(same) == 1:
            yield Winner(name, best)
            continue
        after = same[1].model
        yield Winner(name, best, after, by_pair.get((name, frozenset((best[0].model, after)))))
