"""Differences between two models, their tests and detectable effects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from snakeval.results.statistics.intervals import CONFIDENCE, Interval, described, mean_interval
from snakeval.results.statistics.samples import Array, Scores

#: The power that the minimum detectable difference assumes.
POWER = 0.8


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of two scores over the samples that both have.

    Attributes:
        value: mean of the paired differences; None without a common sample.
        low, high: its 95 % interval; None if there is none.
        p: p-value of the hypothesis of no difference; None if there is none.
        n, left, right: the number of common samples, and of each side's samples.
        higher, lower: the number of samples with a higher score, and with a lower score.
        detectable: the smallest true difference that as many such samples show at the 5 % level
            four times out of five.
        method, basis, reason: the interval's method, or why there is none.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    n: int = 0
    left: int = 0
    right: int = 0
    higher: int = 0
    lower: int = 0
    detectable: float | None = None
    method: str = ""
    basis: str = ""
    reason: str = ""

    @property
    def note(self) -> str:
        """The interval's method, or why there is none, in one line."""
        return described(self.method, self.basis, self.reason)


def difference(a: Scores, b: Scores, scale: float = 1.0) -> Difference:
    """Return how much higher *a* scores than *b*, over the samples that both have.

    The test is paired, because the same questions are hard for two models (Miller 2024,
    arXiv:2411.00640, section 4). It uses the difference on each question:

    - Samples in groups: clustered as in :func:`of_samples`.
    - Scores of 0 and 1: the interval of Agresti and Min 2005 (Statistics in Medicine 24:729). It
      adds a half to each of the four counts before the plain interval, and is also right with few
      differing samples (statsmodels' ``DescrStatsW`` over the counts). P is from McNemar's exact
      test (``statsmodels.stats.contingency_tables.mcnemar``).
    - Others: the paired t-test (``scipy.stats.ttest_1samp`` of the differences).
    """
    found = b.ids.get_indexer(a.ids)
    common = found >= 0
    sizes = (int(common.sum()), a.values.size, b.values.size)
    if not sizes[0]:
        return Difference(None, None, None, None, *sizes, reason="no sample is common")
    left, right = a.values[common], b.values[found[common]]
    changes = scale * (left - right)
    counts = (int((changes > 0).sum()), int((changes < 0).sum()))
    groups = None if a.groups is None else a.groups[common]
    if groups is None and b.groups is not None:  # only one of the runs recorded the groups
        groups = b.groups[found[common]]
    tested = _tested(changes / scale, groups, a.binary and b.binary)
    low, high = tested.low, tested.high
    clusters = 0 if groups is None else len(np.unique(groups))
    if low is not None and high is not None and 1 < clusters < sizes[0]:
        smallest = detectable_in_groups(scale * (high - low) / 2, clusters)
    else:
        smallest = detectable(float(changes.std(ddof=1)), sizes[0]) if sizes[0] > 1 else None
    return Difference(
        float(changes.mean()),
        None if low is None else scale * low,
        None if high is None else scale * high,
        tested.p,
        *sizes,
        *counts,
        smallest,
        tested.method,
        tested.basis,
        tested.reason,
    )


def changed(a: Scores, b: Scores) -> tuple[list[str], list[str]]:
    """Return the common samples that *a* scores higher than *b*, and those that it scores lower."""
    found = b.ids.get_indexer(a.ids)
    common = found >= 0
    names, changes = a.ids[common], a.values[common] - b.values[found[common]]
    return [str(name) for name in names[changes > 0]], [str(name) for name in names[changes < 0]]


def unpaired(a: float, a_found: Interval, b: float, b_found: Interval) -> Difference | None:
    """Return how much higher *a* is than *b* without pairing of samples; None without errors.

    The errors count as independent (Miller 2024, section 4.1), so the test detects less than a
    paired one. The interval combines those of the two scores, as in
    :func:`~snakeval.results.statistics.averages.macro_average`. For two
    proportions this is method 10 of Newcombe 1998 (Statistics in Medicine 17:873).
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
    return Difference(value, low, high, p, method="unpaired")


def _tested(changes: Array, groups: Array | None, binary: bool) -> Difference:
    """Return the interval of the mean change, its p-value, and their method."""
    n = changes.size
    same = f"all {n} common samples differ by the same"
    if groups is not None and len(np.unique(groups)) < n:
        number = len(np.unique(groups))
        if number == 1:
            return Difference(reason="all common samples are of one group")
        if np.ptp(changes) == 0:
            return Difference(p=1.0 if changes[0] == 0 else None, reason=same)
        low, high, p = mean_interval(changes, groups)
        if not high > low:
            return Difference(reason="all groups differ by the same")
        basis = f"{n} samples in {number} groups"
        return Difference(None, low, high, p, method="clustered", basis=basis)
    if binary:
        return Difference(None, *_binary(changes), method="exact", basis=f"{n} samples")
    if np.ptp(changes) == 0:
        return Difference(p=1.0 if changes[0] == 0 else None, reason=same)
    from scipy import stats

    test = stats.ttest_1samp(changes, 0.0)
    found = test.confidence_interval(CONFIDENCE)
    low, high = float(found.low), float(found.high)
    p = float(test.pvalue)
    return Difference(None, low, high, p, method="paired t", basis=f"{n} samples")


def _binary(changes: Array) -> tuple[float, float, float]:
    from statsmodels.stats.contingency_tables import mcnemar
    from statsmodels.stats.weightstats import DescrStatsW

    higher, lower = int((changes > 0).sum()), int((changes < 0).sum())
    counts = [higher + 0.5, lower + 0.5, changes.size - higher - lower + 1.0]
    low, high = DescrStatsW([1.0, -1.0, 0.0], weights=counts).zconfint_mean(1 - CONFIDENCE)
    p = mcnemar([[0, higher], [lower, 0]], exact=True).pvalue
    return max(float(low), -1.0), min(float(high), 1.0), min(float(p), 1.0)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Return p-values corrected for their number; None stays None and does not count.

    Holm 1979 limits the chance of one or more false alarms to 5 %
    (``statsmodels.stats.multitest.multipletests``).
    """
    known = [p for p in ps if p is not None]
    if not known:
        return [None for _ in ps]
    from statsmodels.stats.multitest import multipletests

    corrected = iter(multipletests(known, alpha=1 - CONFIDENCE, method="holm")[1])
    return [None if p is None else float(next(corrected)) for p in ps]


def detectable(deviation: float, n: int) -> float | None:
    """Return the smallest mean of *n* differences with this deviation that a test detects.

    The test is at the 5 % level and detects it in four of five experiments: the power of the t-test
    (``statsmodels.stats.power.TTestPower``; Miller 2024, section 5).
    """
    if n < 3 or not (math.isfinite(deviation) and deviation > 0):
        return None
    return _detectable_effect(n) * deviation


def detectable_in_groups(half: float, groups: int) -> float | None:
    """Return the smallest detectable mean of differences with this half-width of the interval.

    The interval is clustered: the means of groups are independent, not the samples.
    """
    from scipy import stats

    stderr = half / float(stats.t.ppf((1 + CONFIDENCE) / 2, groups - 1))
    return detectable(stderr * math.sqrt(groups), groups)


@cache
def _detectable_effect(n: int) -> float:
    from statsmodels.stats.power import TTestPower

    effect = TTestPower().solve_power(nobs=n, alpha=1 - CONFIDENCE, power=POWER)
    return float(np.squeeze(effect))
