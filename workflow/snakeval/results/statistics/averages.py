"""Averages over benchmarks and over repeats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snakeval.results.statistics.intervals import CONFIDENCE, Interval, described


@dataclass(frozen=True, slots=True)
class Average:
    """A macro average: each benchmark has the same weight.

    Attributes:
        value: the average; None if there is none.
        low, high: its 95 % interval; None if there is none.
        basis: the averaged metric and benchmarks.
        reason: why there is no average.
        caveat: why there is no interval.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    basis: str = ""
    reason: str = ""
    caveat: str = ""

    @property
    def note(self) -> str:
        """The averaged scores, or why there is no average, in one line."""
        return described("", self.basis, self.reason, self.caveat)


def macro_average(scores: Mapping[str, tuple[str, float, Interval]]) -> Average:
    """Average benchmarks: name -> metric, score and its interval.

    Different metrics have no average, because their sum has no meaning. The interval treats the
    benchmarks as fixed and their errors as independent. Squared distances to the bounds add on each
    side (the MOVER of Zou and Donner 2008, Statistics in Medicine 27:1693), so the interval stays
    within the range of the scores.
    """
    metrics = sorted({metric for metric, _, _ in scores.values()})
    if len(metrics) != 1:
        named = " and ".join(metrics)
        return Average(reason=f"no average over {named}" if metrics else "no scores")
    what = f"mean of {metrics[0]} over {', '.join(scores)}"
    value = float(np.mean([score for _, score, _ in scores.values()]))
    below, above = [], []
    for _, score, found in scores.values():
        if found.low is None or found.high is None:
            return Average(value, basis=what, caveat="no interval, as one of them has none")
        below.append(score - found.low)
        above.append(found.high - score)
    down, up = (float(np.linalg.norm(sides)) / len(sides) for sides in (below, above))
    return Average(value, value - down, value + up, what)


@dataclass(frozen=True, slots=True)
class Repeats:
    """The variance of a benchmark's score between runs with other seeds.

    Attributes:
        value: the mean of the runs.
        within: variance of a run's score from its samples: the mean of the squared standard errors.
        between: variance of the runs' scores.
        low, high: t interval of the mean over runs; None with fewer than two, or without spread.
        method, basis, reason: the interval's method, or why there is none.
    """

    runs: int
    value: float
    within: float | None
    between: float | None
    low: float | None = None
    high: float | None = None
    method: str = ""
    basis: str = ""
    reason: str = ""

    @property
    def note(self) -> str:
        """The interval's method, or why there is none, in one line."""
        return described(self.method, self.basis, self.reason)


def repeats(values: Sequence[float], errors: Sequence[float | None]) -> Repeats:
    """Return the variance within and between runs, from their scores and standard errors.

    All runs have the same questions. ``between`` therefore includes the sampling of answers, but
    not the choice of questions, which ``within`` includes (Miller 2024, section 3.1).
    """
    scores = np.asarray(values, dtype=float)
    known = [error for error in errors if error is not None]
    within = float(np.mean(np.square(known))) if len(known) == scores.size else None
    mean = float(scores.mean())
    if scores.size < 2:
        return Repeats(1, mean, within, None, reason="one run does not vary")
    between = float(scores.var(ddof=1))
    if between == 0:
        return Repeats(scores.size, mean, within, 0.0, reason="all runs score the same")
    from scipy import stats

    found = stats.ttest_1samp(scores, mean).confidence_interval(CONFIDENCE)
    low, high = float(found.low), float(found.high)
    return Repeats(scores.size, mean, within, between, low, high, "t", f"{scores.size} runs")
