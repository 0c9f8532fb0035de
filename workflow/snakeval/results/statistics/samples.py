"""What scores are worth: intervals, paired differences, and what a benchmark can detect.

Every formula is SciPy's or statsmodels'; each docstring names the method's source. All of it works
in the scale of the scores, whatever that is. What cannot be said is not said: a bound is None then,
and the note tells why. Both libraries take a second to import, so they are imported where used.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from snakeval.harnesses import Sample

CONFIDENCE = 0.95
#: Of a minimum detectable difference.
POWER = 0.8
#: How far the mean of samples may be from the score that the harness wrote, perhaps rounded.
_ROUNDING = 1e-4

Array = np.ndarray[tuple[int], np.dtype[Any]]
#: What a score is of: task, metric and filter, as in :class:`snakeval.evaluation.record.Metric`.
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of one metric by sample, in the harness's order; several answers are averaged.

    Attributes:
        ids: of the samples, each once.
        values: finite.
        groups: of each sample, where the benchmark has groups.
        answers: how many answers there are to one question at most.
        unscored: how many samples had no finite score; they are left out.
    """

    ids: pd.Index[Any]
    values: Array
    groups: Array | None = None
    answers: int = 1
    unscored: int = 0

    @classmethod
    def of(cls, ids: Sequence[str], values: Sequence[float], groups: Sequence[str] = ()) -> Scores:
        """Return the scores of samples. A sample without a group is a group of its own.

        Answers to one question are no independent samples: they are averaged, as in section 3.1
        of Miller 2024 (arXiv:2411.00640).
        """
        scores = np.asarray(values, dtype=float)
        named = pd.Index(np.asarray(ids, dtype=object), dtype=object)
        grouped = np.asarray(groups, dtype=object) if any(groups) else None
        finite = np.isfinite(scores)
        unscored = int((~finite).sum())
        if unscored:
            scores, named = scores[finite], named[finite]
            grouped = None if grouped is None else grouped[finite]
        answers = 1
        if not named.is_unique:
            frame = pd.DataFrame({"id": named, "value": scores, "group": grouped})
            by_id = frame.groupby("id", sort=False)
            answers = int(by_id.size().max())
            named = pd.Index(by_id.size().index.to_numpy(dtype=object), dtype=object)
            scores = by_id["value"].mean().to_numpy()
            if grouped is not None:
                grouped = by_id["group"].first().to_numpy(dtype=object)
        if grouped is not None:
            own = np.asarray([f"\0{name}" for name in named], dtype=object)
            grouped = np.where(grouped == "", own, grouped)
        return cls(named, scores, grouped, answers, unscored)

    @property
    def binary(self) -> bool:
        """Whether each score is 0 or 1: their mean is a proportion."""
        return bool(((self.values == 0) | (self.values == 1)).all())


def together(runs: Sequence[Scores]) -> Scores:
    """Return the mean score of each question over several runs of one benchmark."""
    ids = [name for run in runs for name in run.ids]
    values = np.concatenate([run.values for run in runs])
    groups = [
        "" if run.groups is None else run.groups[position]
        for run in runs
        for position in range(run.values.size)
    ]
    return Scores.of(ids, values.tolist(), groups)


def gather(samples: Iterable[Sample]) -> dict[Key, Scores]:
    """Return the scores by task, metric and filter."""
    columns: dict[Key, tuple[list[str], list[float], list[str]]] = {}
    for sample in samples:
        for metric, value in sample.scores.items():
            ids, values, groups = columns.setdefault(
                (sample.task, metric, sample.filter), ([], [], [])
            )
            ids.append(sample.id)
            values.append(value)
            groups.append(sample.group)
    return {key: Scores.of(*lists) for key, lists in columns.items()}


def scores_of(found: Mapping[Key, Scores], key: Key, value: float) -> tuple[Scores, float] | None:
    """Return the scores whose mean is *value*, and the scale: 1, or 100 for percentages.

    A metric that is no mean of its samples (a ratio, a corpus score) has none. Harnesses may name
    a filter in their results and not in their samples, or the other way round; and a group of
    tasks that counts each sample the same has those of its tasks.
    """
    task, metric, filter_name = key
    candidates = [key, *(name for name in found if name[:2] == (task, metric) and name != key)]
    for name in candidates:
        if name in found and (scale := _scale(found[name], value)):
            return found[name], scale
    parts = {name[0]: part for name, part in found.items() if name[1:] == (metric, filter_name)}
    if key in found or len(parts) < 2:
        return None
    names = [f"{task}/{name}" for task, part in parts.items() for name in part.ids]
    together = Scores(
        pd.Index(names, dtype=object),
        np.concatenate([part.values for part in parts.values()]),
        _groups(parts),
        unscored=sum(part.unscored for part in parts.values()),
    )
    return (together, scale) if (scale := _scale(together, value)) else None


def _groups(parts: Mapping[str, Scores]) -> Array | None:
    """Return the groups of the samples of several tasks, each a group of its task."""
    if all(part.groups is None for part in parts.values()):
        return None
    return np.asarray(
        [
            f"{task}/{name}"
            for task, part in parts.items()
            for name in (part.ids if part.groups is None else part.groups)
        ],
        dtype=object,
    )


def _scale(scores: Scores, value: float) -> float:
    """What the mean of *scores* is multiplied with to be *value*; 0 where that is neither."""
    if not scores.values.size:
        return 0.0
    mean = float(scores.values.mean())
    for scale in (1.0, 100.0):
        if math.isclose(value, scale * mean, rel_tol=_ROUNDING, abs_tol=scale * _ROUNDING):
            return scale
    return 0.0


# --- one score ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % confidence interval of a score, in its scale; or None twice.

    ``note`` says how it was made, or why there is none.
    """

    low: float | None
    high: float | None
    note: str

    @property
    def stderr(self) -> float | None:
        """The standard error that a normal interval of this width has."""
        if self.low is None or self.high is None:
            return None
        return (self.high - self.low) / (2 * _normal_quantile())

    def around(self, value: float) -> Interval:
        """Return it with *value*, which a harness may have rounded, inside."""
        if self.low is None or self.high is None:
            return self
        return Interval(min(self.low, value), max(self.high, value), self.note)

    def scaled(self, scale: float) -> Interval:
        """Return it in another scale."""
        if self.low is None or self.high is None:
            return self
        return Interval(scale * self.low, scale * self.high, self.note)


def interval(
    value: float,
    stderr: float | None = None,
    n: int | None = None,
    scores: Scores | None = None,
    scale: float = 1.0,
) -> Interval:
    """Return the interval of a score: from its samples, or else from its standard error.

    *scores* are those of :func:`scores_of`, with their *scale*.
    """
    if not math.isfinite(value):
        return _none("the score is no finite number")
    if scores is not None and scores.values.size:
        found = of_samples(scores).scaled(scale)
        if scores.unscored:
            found = Interval(
                found.low, found.high, f"{found.note}; {scores.unscored} samples without a score"
            )
        return found.around(value)
    return of_stderr(value, stderr, n).around(value)


def of_samples(scores: Scores) -> Interval:
    """Return the interval of the mean of samples.

    - Samples in groups: standard errors clustered by group (Miller 2024, arXiv:2411.00640,
      section 2.2; statsmodels' ``cov_type="cluster"`` with its correction for few groups) and the
      t distribution with one degree of freedom less than there are groups.
    - Scores of 0 and 1: the score interval of Wilson 1927, which is right near 0 and 1, too
      (``statsmodels.stats.proportion.proportion_confint``).
    - Others: the t interval of a mean (``scipy.stats.ttest_1samp``).
    """
    values = scores.values
    if not values.size:
        return _none("no sample has a score")
    if scores.groups is not None and len(np.unique(scores.groups)) < values.size:
        return _clustered(scores, scores.groups)
    if scores.binary:
        return _wilson(values.sum(), values.size)
    if values.size == 1:
        return _none("one sample says nothing of how scores spread")
    if np.ptp(values) == 0:
        return _none(f"all {values.size} samples score the same, so their spread is not known")
    from scipy import stats

    found = stats.ttest_1samp(values, values.mean()).confidence_interval(CONFIDENCE)
    return _sound(found.low, found.high, f"t, {values.size} samples")


def _sound(low: float, high: float, note: str) -> Interval:
    """Return the interval, unless the numbers are too small or too large to be told apart."""
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        return _none("the scores' spread is beyond what numbers of this machine can tell")
    return Interval(float(low), float(high), note)


def _clustered(scores: Scores, groups: Array) -> Interval:
    number, mean = len(np.unique(groups)), scores.values.mean()
    if number == 1:
        return _none("all samples are of one group, so how groups differ is not known")
    if np.ptp(scores.values) == 0:
        if scores.binary:
            # A group that is all right is worth one sample, at least.
            found = _wilson(mean * number, number)
            return Interval(found.low, found.high, f"Wilson, {number} groups that score the same")
        return _none(f"all {scores.values.size} samples score the same")
    low, high, _ = _mean(scores.values, groups)
    if not high > low:
        return _none("all groups score the same, so their spread is not known")
    if scores.binary:
        low, high = max(low, 0.0), min(high, 1.0)
    return _sound(low, high, f"clustered, {scores.values.size} samples in {number} groups")


def _mean(values: Array, groups: Array) -> tuple[float, float, float]:
    """Return the clustered interval of a mean, and the p-value of its being zero."""
    from statsmodels.regression.linear_model import OLS

    codes, _ = pd.factorize(groups)
    fit = OLS(values, np.ones_like(values)).fit(
        cov_type="cluster", cov_kwds={"groups": codes}, use_t=True
    )
    low, high = fit.conf_int(1 - CONFIDENCE)[0]
    return float(low), float(high), float(fit.pvalues[0])


def _wilson(successes: float, n: int) -> Interval:
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(successes, n, alpha=1 - CONFIDENCE, method="wilson")
    return Interval(float(low), float(high), f"Wilson, {n} samples")


def of_stderr(value: float, stderr: float | None, n: int | None) -> Interval:
    """Return the interval of a score with the standard error that the harness wrote.

    It is a t interval (normal where *n* is not known). Where the error shows that the scores are
    0 and 1, as it does by the variance p(1 - p), which no other scores between 0 and 1 reach, it
    is Wilson's.
    """
    if stderr is None or not math.isfinite(stderr) or stderr < 0:
        return _none("the harness wrote neither samples nor a standard error")
    if stderr == 0:
        return _none("the standard error is 0, and there are no samples to say more")
    if n is not None and n > 1 and 0 < value < 1:
        for degrees in (n - 1, n):
            if math.isclose(stderr, math.sqrt(value * (1 - value) / degrees), rel_tol=1e-3):
                return _wilson(value * n, n)
    from scipy import stats

    if n is not None and n > 1:
        low, high = stats.t.interval(CONFIDENCE, n - 1, value, stderr)
    else:
        low, high = stats.norm.interval(CONFIDENCE, value, stderr)
    return _sound(low, high, "the harness's standard error")


def _none(why: str) -> Interval:
    return Interval(None, None, f"none: {why}")


@cache
def _normal_quantile() -> float:
    from scipy import stats

    return float(stats.norm.ppf((1 + CONFIDENCE) / 2))


# --- two models ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Difference:
    """How much higher one score is than another, over the samples that both have.

    Attributes:
        value: mean of the paired differences; None where no sample is common.
        low, high: its 95 % interval; None where *note* says why.
        p: of there being no difference; None where it cannot be said.
        n, left, right: how many samples are common, and how many each has.
        higher, lower: of how many samples the score is higher, and lower.
        detectable: the smallest true difference that as many such samples show at the 5 % level
            four times out of five.
    """

    value: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int
    left: int
    right: int
    higher: int = 0
    lower: int = 0
    detectable: float | None = None
    note: str = ""


def difference(a: Scores, b: Scores, scale: float = 1.0) -> Difference:
    """Return how much higher *a* scores than *b*, over the samples that both have.

    Paired, since two models find the same questions hard (Miller 2024, arXiv:2411.00640, section
    4): of each question the difference, then

    - in groups: clustered as in :func:`of_samples`;
    - scores of 0 and 1: the interval of Agresti and Min 2005 (Statistics in Medicine 24:729), who
      add a half to each of the four counts before the plain interval, which is right with few
      samples that differ, too (statsmodels' ``DescrStatsW`` over the counts); p by McNemar's exact
      test (``statsmodels.stats.contingency_tables.mcnemar``);
    - others: the paired t-test (``scipy.stats.ttest_1samp`` of the differences).
    """
    found = b.ids.get_indexer(a.ids)
    common = found >= 0
    sizes = (int(common.sum()), a.values.size, b.values.size)
    if not sizes[0]:
        return Difference(None, None, None, None, *sizes, note="none: no sample is common")
    left, right = a.values[common], b.values[found[common]]
    changes = scale * (left - right)
    counts = (int((changes > 0).sum()), int((changes < 0).sum()))
    groups = None if a.groups is None else a.groups[common]
    if groups is None and b.groups is not None:  # one of the runs was told of them, the other not
        groups = b.groups[found[common]]
    low, high, p, note = _tested(changes / scale, groups, a.binary and b.binary)
    clusters = 0 if groups is None else len(np.unique(groups))
    if low is not None and high is not None and 1 < clusters < sizes[0]:
        smallest = detectable_in_groups(scale * (high - low) / 2, clusters)
    else:
        smallest = detectable(float(changes.std(ddof=1)), sizes[0]) if sizes[0] > 1 else None
    return Difference(
        float(changes.mean()),
        None if low is None else scale * low,
        None if high is None else scale * high,
        p,
        *sizes,
        *counts,
        smallest,
        note,
    )


def changed(a: Scores, b: Scores) -> tuple[list[str], list[str]]:
    """Return the common samples that *a* scores higher than *b*, and those that it scores lower."""
    found = b.ids.get_indexer(a.ids)
    common = found >= 0
    names, changes = a.ids[common], a.values[common] - b.values[found[common]]
    return [str(name) for name in names[changes > 0]], [str(name) for name in names[changes < 0]]


def unpaired(a: float, a_found: Interval, b: float, b_found: Interval) -> Difference | None:
    """Return how much higher *a* is than *b* where samples cannot be paired; None without errors.

    Errors as independent (Miller 2024, section 4.1), so it sees less than a paired difference. The
    interval is made of those of the two, as in :func:`macro_average`; of two proportions that is
    method 10 of Newcombe 1998 (Statistics in Medicine 17:873).
    """
    if a_found.stderr is None or b_found.stderr is None:
        return None
    assert a_found.low is not None
    assert a_found.high is not None
    assert b_found.low is not None
    assert b_found.high is not None
    from scipy import stats

    value = a - b
    low = value - math.hypot(a - a_found.low, b_found.high - b)
    high = value + math.hypot(a_found.high - a, b - b_found.low)
    stderr = math.hypot(a_found.stderr, b_found.stderr)
    p = 2 * float(stats.norm.sf(abs(value) / stderr))
    return Difference(value, low, high, p, 0, 0, 0, note="unpaired")


def _tested(
    changes: Array, groups: Array | None, binary: bool
) -> tuple[float | None, float | None, float | None, str]:
    """Return the interval of the mean change, its p-value, and how they were made."""
    n = changes.size
    if groups is not None and len(np.unique(groups)) < n:
        number = len(np.unique(groups))
        if number == 1:
            return None, None, None, "none: all common samples are of one group"
        if np.ptp(changes) == 0:
            p = 1.0 if changes[0] == 0 else None
            return None, None, p, f"none: all {n} common samples differ by the same"
        low, high, p = _mean(changes, groups)
        if not high > low:
            return None, None, None, "none: all groups differ by the same"
        return low, high, p, f"clustered, {n} samples in {number} groups"
    if binary:
        return *_binary(changes), f"exact, {n} samples"
    if np.ptp(changes) == 0:
        p = 1.0 if changes[0] == 0 else None
        return None, None, p, f"none: all {n} common samples differ by the same"
    from scipy import stats

    test = stats.ttest_1samp(changes, 0.0)
    found = test.confidence_interval(CONFIDENCE)
    return float(found.low), float(found.high), float(test.pvalue), f"paired t, {n} samples"


def _binary(changes: Array) -> tuple[float, float, float]:
    from statsmodels.stats.contingency_tables import mcnemar
    from statsmodels.stats.weightstats import DescrStatsW

    higher, lower = int((changes > 0).sum()), int((changes < 0).sum())
    counts = [higher + 0.5, lower + 0.5, changes.size - higher - lower + 1.0]
    low, high = DescrStatsW([1.0, -1.0, 0.0], weights=counts).zconfint_mean(1 - CONFIDENCE)
    p = mcnemar([[0, higher], [lower, 0]], exact=True).pvalue
    return max(float(low), -1.0), min(float(high), 1.0), min(float(p), 1.0)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Return p-values corrected for how many there are; None stays None and counts for nothing.

    Holm 1979 keeps the chance of one false alarm or more at 5 %
    (``statsmodels.stats.multitest.multipletests``).
    """
    known = [p for p in ps if p is not None]
    if not known:
        return [None for _ in ps]
    from statsmodels.stats.multitest import multipletests

    corrected = iter(multipletests(known, alpha=1 - CONFIDENCE, method="holm")[1])
    return [None if p is None else float(next(corrected)) for p in ps]


def detectable(deviation: float, n: int) -> float | None:
    """Return the smallest mean that *n* differences with this standard deviation tell from zero.

    At the 5 % level in four of five experiments: the power of the t-test
    (``statsmodels.stats.power.TTestPower``; Miller 2024, section 5).
    """
    if n < 3 or not (math.isfinite(deviation) and deviation > 0):
        return None
    return _detectable_effect(n) * deviation


def detectable_in_groups(half: float, groups: int) -> float | None:
    """Return the same of differences whose clustered interval is so wide on either side.

    Then it is the means of groups that are independent, not the samples.
    """
    from scipy import stats

    stderr = half / float(stats.t.ppf((1 + CONFIDENCE) / 2, groups - 1))
    return detectable(stderr * math.sqrt(groups), groups)


@cache
def _detectable_effect(n: int) -> float:
    from statsmodels.stats.power import TTestPower

    effect = TTestPower().solve_power(nobs=n, alpha=1 - CONFIDENCE, power=POWER)
    return float(np.squeeze(effect))


# --- several benchmarks, several runs ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Average:
    """A macro average: each benchmark counts the same.

    ``note`` says what was averaged, or why nothing was; then the rest is None.
    """

    value: float | None
    low: float | None
    high: float | None
    note: str


def macro_average(scores: Mapping[str, tuple[str, float, Interval]]) -> Average:
    """Average benchmarks: name -> metric, score and its interval.

    Refused over different metrics, whose sum means nothing. The interval takes the benchmarks as
    given and their errors as independent: squared distances to the bounds add, on each side (the
    MOVER of Zou and Donner 2008, Statistics in Medicine 27:1693), so it stays where scores can be.
    """
    metrics = sorted({metric for metric, _, _ in scores.values()})
    if len(metrics) != 1:
        named = " and ".join(metrics)
        return Average(
            None, None, None, f"none: no average over {named}" if metrics else "none: no scores"
        )
    what = f"mean of {metrics[0]} over {', '.join(scores)}"
    value = float(np.mean([score for _, score, _ in scores.values()]))
    below, above = [], []
    for _, score, found in scores.values():
        if found.low is None or found.high is None:
            return Average(value, None, None, f"{what}; no interval, as one of them has none")
        below.append(score - found.low)
        above.append(found.high - score)
    down, up = (float(np.linalg.norm(sides)) / len(sides) for sides in (below, above))
    return Average(value, value - down, value + up, what)


@dataclass(frozen=True, slots=True)
class Repeats:
    """How a benchmark's score varies between runs of it with other seeds.

    Attributes:
        value: the mean of the runs.
        within: variance of a run's score from its samples: the mean of the squared standard errors.
        between: variance of the runs' scores.
        low, high: t interval of the mean over runs; None with fewer than two, or without spread.
    """

    runs: int
    value: float
    within: float | None
    between: float | None
    low: float | None
    high: float | None
    note: str


def repeats(values: Sequence[float], errors: Sequence[float | None]) -> Repeats:
    """Say how runs of one benchmark vary, of which these are the scores and standard errors.

    The questions are the same in each run, so ``between`` holds what sampling answers adds, and
    not what choosing questions does, which is ``within`` (Miller 2024, section 3.1).
    """
    scores = np.asarray(values, dtype=float)
    known = [error for error in errors if error is not None]
    within = float(np.mean(np.square(known))) if len(known) == scores.size else None
    mean = float(scores.mean())
    if scores.size < 2:
        return Repeats(1, mean, within, None, None, None, "none: one run does not vary")
    between = float(scores.var(ddof=1))
    if between == 0:
        same = "none: all runs score the same"
        return Repeats(scores.size, mean, within, 0.0, None, None, same)
    from scipy import stats

    found = stats.ttest_1samp(scores, mean).confidence_interval(CONFIDENCE)
    low, high = float(found.low), float(found.high)
    return Repeats(scores.size, mean, within, between, low, high, f"t, {scores.size} runs")
