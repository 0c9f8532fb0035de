"""Differences between two models, their tests and detectable effects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from snakeval.results.statistics.intervals import CONFIDENCE, Interval, described, mean_interval
from snakeval.results.statistics.paired import score_interval
from snakeval.results.statistics.samples import Array, Scores

#: The power that the minimum detectable difference assumes.
POWER = 0.8
#: With fewer changed samples, the t interval of scores between 0 and 1 is too narrow on one side.
_FEW = 30


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
        units: the number of independent samples: groups, if samples are in groups; 0 if unknown.
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
    units: int = 0
    method: str = ""
    basis: str = ""
    reason: str = ""

    @property
    def note(self) -> str:
        """The interval's method, or why there is none, in one line."""
        return described(self.method, self.basis, self.reason)


def difference(
    a: Scores, b: Scores, scale: float = 1.0, confidence: float = CONFIDENCE
) -> Difference:
    """Return how much higher *a* scores than *b*, over the samples that both have.

    The test is paired, because the same questions are hard for two models (Miller 2024,
    arXiv:2411.00640, section 4). It uses the difference on each question:

    - Samples in groups: clustered as in :func:`of_samples`.
    - Scores of 0 and 1: the score interval of Tango 1998
      (:func:`~snakeval.results.statistics.paired.score_interval`), which is also right if few
      samples changed. P is from McNemar's exact test
      (``statsmodels.stats.contingency_tables.mcnemar``).
    - Others: the paired t-test (``scipy.stats.ttest_1samp`` of the differences).

    The t and the clustered interval do not know the rare change that no sample shows. If fewer than
    30 samples or groups changed and scores are between 0 and 1, the interval therefore covers
    Tango's interval, whose counts are then sums of changes: no distribution of the same mean
    between 0 and 1 spreads more than one of 0 and 1.
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
    bounded = _bounded(left) and _bounded(right)
    tested = _tested(changes / scale, groups, a.binary and b.binary, bounded, confidence)
    low, high = tested.low, tested.high
    clusters = 0 if groups is None else len(np.unique(groups))
    units = clusters if 1 < clusters < sizes[0] else sizes[0]
    deviation = float(changes.std(ddof=1)) if sizes[0] > 1 else 0.0
    if low is not None and high is not None and (units < sizes[0] or not deviation):
        smallest = detectable_in_groups(scale * (high - low) / 2, units, confidence)
    else:
        smallest = detectable(deviation, sizes[0])
    return Difference(
        float(changes.mean()),
        None if low is None else scale * low,
        None if high is None else scale * high,
        tested.p,
        *sizes,
        *counts,
        smallest,
        units,
        tested.method,
        tested.basis,
        tested.reason,
    )


def _bounded(values: Array) -> bool:
    return bool(((values >= 0) & (values <= 1)).all())


def changed(a: Scores, b: Scores) -> tuple[list[str], list[str]]:
    """Return the common samples that *a* scores higher than *b*, and those that it scores lower."""
    found = b.ids.get_indexer(a.ids)
    common = found >= 0
    names, changes = a.ids[common], a.values[common] - b.values[found[common]]
    return [str(name) for name in names[changes > 0]], [str(name) for name in names[changes < 0]]


def unpaired(
    a: float, a_found: Interval, b: float, b_found: Interval, units: int = 0
) -> Difference | None:
    """Return how much higher *a* is than *b* without pairing of samples; None without errors.

    The errors count as independent (Miller 2024, section 4.1), so the test detects less than a
    paired one. The interval combines those of the two scores, as in
    :func:`~snakeval.results.statistics.averages.macro_average`. For two
    proportions this is method 10 of Newcombe 1998 (Statistics in Medicine 17:873). *units* is the
    number of samples of the smaller side, if it is known.
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
    smallest = detectable(stderr * math.sqrt(units), units)
    return Difference(
        value, low, high, p, detectable=smallest, units=units if smallest else 0, method="unpaired"
    )


def _tested(
    changes: Array, groups: Array | None, binary: bool, bounded: bool, confidence: float
) -> Difference:
    """Return the interval of the mean change, its p-value, and their method."""
    n = changes.size
    none = Difference(reason=f"all {n} common samples differ by the same")
    if groups is not None and len(np.unique(groups)) < n:
        return _of_groups(changes, groups, bounded, none, confidence)
    if binary:
        low, high = _score(changes, n, confidence)
        return Difference(None, low, high, _mcnemar(changes), method="score", basis=f"{n} samples")
    if np.ptp(changes) == 0:
        return _of_no_change(changes, n, f"{n} samples", bounded, none, confidence)
    from scipy import stats

    test = stats.ttest_1samp(changes, 0.0)
    found = test.confidence_interval(confidence)
    low, high = float(found.low), float(found.high)
    if bounded and np.count_nonzero(changes) < _FEW:
        low, high = _covering((low, high), _score(changes, n, confidence))
    p = float(test.pvalue)
    return Difference(None, low, high, p, method="paired t", basis=f"{n} samples")


def _of_groups(
    changes: Array, groups: Array, bounded: bool, none: Difference, confidence: float
) -> Difference:
    names = np.unique(groups)
    number = len(names)
    basis = f"{changes.size} samples in {number} groups"
    if number == 1:
        return Difference(reason="all common samples are of one group")
    if np.ptp(changes) == 0:
        return _of_no_change(changes, number, basis, bounded, none, confidence)
    low, high, p = mean_interval(changes, groups, confidence)
    if not high > low:
        return Difference(reason="all groups differ by the same")
    if bounded and len(np.unique(groups[changes != 0])) < _FEW:
        low, high = _covering((low, high), _score(changes, number, confidence))
    return Difference(None, low, high, p, method="clustered", basis=basis)


def _of_no_change(
    changes: Array, units: int, basis: str, bounded: bool, none: Difference, confidence: float
) -> Difference:
    """Return the interval of changes that are all equal: only a change of 0 can have one."""
    if changes[0] != 0 or not bounded:
        return replace(none, p=1.0 if changes[0] == 0 else None)
    low, high = _score(changes, units, confidence)
    return Difference(None, low, high, 1.0, method="score", basis=basis)


def _score(changes: Array, units: int, confidence: float) -> tuple[float, float]:
    """Return Tango's interval; in groups, as if each group were one sample of its mean change."""
    from scipy import stats

    part = units / changes.size
    higher, lower = (
        part * float(side.sum()) for side in (changes[changes > 0], -changes[changes < 0])
    )
    return score_interval(higher, lower, units, float(stats.norm.ppf((1 + confidence) / 2)))


def _covering(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    return min(one[0], other[0]), max(one[1], other[1])


def _mcnemar(changes: Array) -> float:
    from statsmodels.stats.contingency_tables import mcnemar

    higher, lower = int((changes > 0).sum()), int((changes < 0).sum())
    return min(float(mcnemar([[0, higher], [lower, 0]], exact=True).pvalue), 1.0)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Return p-values corrected for their number; None stays None and does not count.

    Holm 1979 limits the chance of one or more false alarms to 5 %
    (``statsmodels.stats.multitest.multipletests``).
    """
    known = [p for p in ps if p is not None]
    if len(known) < 2:
        return list(ps)
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


def detectable_in_groups(half: float, groups: int, confidence: float = CONFIDENCE) -> float | None:
    """Return the smallest detectable mean of differences with this half-width of the interval.

    The interval is clustered: the means of groups are independent, not the samples.
    """
    from scipy import stats

    stderr = half / float(stats.t.ppf((1 + confidence) / 2, groups - 1))
    return detectable(stderr * math.sqrt(groups), groups)


def required(found: Difference, margin: float) -> int | None:
    """Return how many samples or groups, such as those of *found*, detect a change of *margin*.

    The number has two digits, rounded up; None if it is unknown.
    (``statsmodels.stats.power.TTestPower``; Miller 2024, section 5.)
    """
    if not found.detectable or found.units < 3 or not margin > 0:
        return None
    from statsmodels.stats.power import tt_solve_power

    effect = margin * _detectable_effect(found.units) / found.detectable
    if effect >= _detectable_effect(3):
        return 3
    number = float(np.squeeze(tt_solve_power(effect, alpha=1 - CONFIDENCE, power=POWER)))
    digits: int = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return math.ceil(number / digits) * digits


@cache
def _detectable_effect(n: int) -> float:
    from statsmodels.stats.power import TTestPower

    effect = TTestPower().solve_power(nobs=n, alpha=1 - CONFIDENCE, power=POWER)
    return float(np.squeeze(effect))
