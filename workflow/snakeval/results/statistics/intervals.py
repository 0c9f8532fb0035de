"""Confidence intervals of a score."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd

from snakeval.results.statistics.samples import Array, Scores

CONFIDENCE = 0.95
#: With fewer groups that differ from the others, the clustered interval is too narrow.
_FEW = 30


def described(method: str, basis: str, reason: str, caveat: str = "") -> str:
    """Return a number's method, or why there is none, and its limits, in one line."""
    made = f"none: {reason}" if reason else ", ".join(filter(None, [method, basis]))
    return f"{made}; {caveat}" if caveat else made


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % confidence interval of a score, in the scale of the score.

    Attributes:
        low, high: the bounds; None if there is no interval.
        method: the statistical method, such as ``Wilson``; empty if there is no interval.
        basis: what the method uses, such as ``40 samples``.
        reason: why there is no interval; empty if there is one.
        caveat: what else a reader must know, such as ungraded samples.
        graded, ungraded: the number of samples with a score and without; both 0 if all have one.
    """

    low: float | None = None
    high: float | None = None
    method: str = ""
    basis: str = ""
    reason: str = ""
    caveat: str = ""
    graded: int = 0
    ungraded: int = 0

    @property
    def note(self) -> str:
        """The interval's method, or why there is none, in one line."""
        return described(self.method, self.basis, self.reason, self.caveat)

    @property
    def stderr(self) -> float | None:
        """The standard error of a normal interval with this width."""
        if self.low is None or self.high is None:
            return None
        return (self.high - self.low) / (2 * _normal_quantile())

    def around(self, value: float) -> Interval:
        """Return the interval extended to *value*, which a harness may have rounded."""
        if self.low is None or self.high is None:
            return self
        return replace(self, low=min(self.low, value), high=max(self.high, value))

    def scaled(self, scale: float) -> Interval:
        """Return the interval in another scale."""
        if self.low is None or self.high is None:
            return self
        return replace(self, low=scale * self.low, high=scale * self.high)


def interval(
    value: float,
    stderr: float | None = None,
    n: int | None = None,
    scores: Scores | None = None,
    scale: float = 1.0,
    *,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Return the interval of a score: from its samples, or else from its standard error.

    *scores* and *scale* are the result of :func:`snakeval.results.statistics.samples.scores_of`.
    """
    if not math.isfinite(value):
        return _none("the score is not a finite number")
    if scores is not None and scores.values.size:
        return of_samples(scores, confidence).scaled(scale).around(value)
    return of_stderr(value, stderr, n, confidence).around(value)


def of_samples(scores: Scores, confidence: float = CONFIDENCE) -> Interval:
    """Return the interval of the mean of samples.

    - Samples in groups: standard errors clustered by group (Miller 2024, arXiv:2411.00640,
      section 2.2; statsmodels' ``cov_type="cluster"`` with its correction for few groups) and the
      t distribution. Its degrees of freedom are the number of groups minus one.
    - Scores of 0 and 1: the score interval of Wilson 1927, which is also right near 0 and 1
      (``statsmodels.stats.proportion.proportion_confint``).
    - Others: the t interval of a mean (``scipy.stats.ttest_1samp``).
    - Ungraded samples: see :func:`_worst_to_best`.
    """
    values = scores.values
    if not values.size:
        return _none("no sample has a score")
    if not scores.complete:
        return _worst_to_best(scores, confidence)
    if scores.groups is not None and len(np.unique(scores.groups)) < values.size:
        return _clustered(scores, scores.groups, confidence)
    if scores.binary:
        return _wilson(values.sum(), values.size, confidence)
    if values.size == 1:
        return _none("one sample does not show how scores spread")
    if np.ptp(values) == 0:
        return _none(f"all {values.size} samples score the same, so their spread is unknown")
    from scipy import stats

    found = stats.ttest_1samp(values, values.mean()).confidence_interval(confidence)
    return _sound(found.low, found.high, "t", f"{values.size} samples")


def _worst_to_best(scores: Scores, confidence: float) -> Interval:
    """Return the interval that holds whatever the ungraded answers would have scored.

    It reaches from the lower bound if they all score 0 to the upper bound if they all score 1: the
    worst-case bounds of Horowitz and Manski 2000 (Journal of the American Statistical Association
    95:77), with the interval of each. Wilson's bounds rise with the number of right answers, so it
    covers the interval of the complete samples, whatever made the others fail.
    """
    graded, total = scores.values.size, scores.total
    what = f"{graded} of {total} samples graded"
    if not len(scores.ungraded):
        what = f"not all answers to {total} samples graded"
    made = Interval(graded=graded, ungraded=len(scores.ungraded))
    if not scores.bounded:
        return replace(made, reason=f"{what}, and the range of the metric is unknown")
    worst, best = (_covering_few(scores.completed(end), confidence) for end in (0.0, 1.0))
    if worst.low is None or best.high is None:
        return replace(made, reason=worst.reason or best.reason, caveat=what)
    made = replace(made, low=worst.low, high=best.high, method=worst.method, basis=what)
    return replace(made, caveat="from the worst to the best case of the others")


def _covering_few(scores: Scores, confidence: float) -> Interval:
    """Return the interval of samples; in groups, it covers Wilson's if few groups are different.

    The clustered interval is too narrow on one side if nearly all groups are right, or wrong. For
    Wilson's interval, each group is then worth one sample.
    """
    found = of_samples(scores, confidence)
    if scores.groups is None or not scores.binary or found.low is None or found.high is None:
        return found
    mean, number = float(scores.values.mean()), len(np.unique(scores.groups))
    different = len(np.unique(scores.groups[scores.values == (mean < 0.5)]))
    if different >= _FEW:
        return found
    other = _wilson(mean * number, number, confidence)
    assert other.low is not None
    assert other.high is not None
    return replace(found, low=min(found.low, other.low), high=max(found.high, other.high))


def _sound(low: float, high: float, method: str, basis: str = "") -> Interval:
    """Return the interval, or none if its numbers exceed the precision of floats."""
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        return _none("the scores' spread exceeds the precision of this machine's numbers")
    return Interval(float(low), float(high), method, basis)


def _clustered(scores: Scores, groups: Array, confidence: float) -> Interval:
    number, mean = len(np.unique(groups)), scores.values.mean()
    if number == 1:
        return _none("all samples are of one group, so the spread of groups is unknown")
    if np.ptp(scores.values) == 0:
        if scores.binary:
            # A group without a wrong answer is worth at least one sample.
            found = _wilson(mean * number, number, confidence)
            return replace(found, basis=f"{number} groups that score the same")
        return _none(f"all {scores.values.size} samples score the same")
    low, high, _ = mean_interval(scores.values, groups, confidence)
    if not high > low:
        return _none("all groups score the same, so their spread is unknown")
    if scores.binary:
        low, high = max(low, 0.0), min(high, 1.0)
    return _sound(low, high, "clustered", f"{scores.values.size} samples in {number} groups")


def mean_interval(
    values: Array, groups: Array, confidence: float = CONFIDENCE
) -> tuple[float, float, float]:
    """Return the clustered interval of a mean, and the p-value of the hypothesis that it is 0."""
    from statsmodels.regression.linear_model import OLS

    codes, _ = pd.factorize(groups)
    fit = OLS(values, np.ones_like(values)).fit(
        cov_type="cluster", cov_kwds={"groups": codes}, use_t=True
    )
    low, high = fit.conf_int(1 - confidence)[0]
    return float(low), float(high), float(fit.pvalues[0])


def _wilson(successes: float, n: int, confidence: float) -> Interval:
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(successes, n, alpha=1 - confidence, method="wilson")
    return Interval(float(low), float(high), "Wilson", f"{n} samples")


def of_stderr(
    value: float, stderr: float | None, n: int | None, confidence: float = CONFIDENCE
) -> Interval:
    """Return the interval of a score from the standard error that the harness wrote.

    It is a t interval, or a normal one if *n* is unknown. If the scores are 0 and 1, it is
    Wilson's. The error shows that by the variance p(1 - p): no other scores between 0 and 1 have
    such a high variance.
    """
    if stderr is None or not math.isfinite(stderr) or stderr < 0:
        return _none("the harness wrote neither samples nor a standard error")
    if stderr == 0:
        return _none("the standard error is 0, and there are no samples")
    if n is not None and n > 1 and 0 < value < 1:
        for degrees in (n - 1, n):
            if math.isclose(stderr, math.sqrt(value * (1 - value) / degrees), rel_tol=1e-3):
                return _wilson(value * n, n, confidence)
    from scipy import stats

    if n is not None and n > 1:
        low, high = stats.t.interval(confidence, n - 1, value, stderr)
    else:
        low, high = stats.norm.interval(confidence, value, stderr)
    return _sound(low, high, "the harness's standard error")


def _none(why: str) -> Interval:
    return Interval(reason=why)


@cache
def _normal_quantile() -> float:
    from scipy import stats

    return float(stats.norm.ppf((1 + CONFIDENCE) / 2))
