"""The difference of two models of which some answers were not graded."""

from __future__ import annotations

from dataclasses import replace

from snakeval.results.statistics import differences
from snakeval.results.statistics.differences import Difference
from snakeval.results.statistics.intervals import CONFIDENCE
from snakeval.results.statistics.samples import Scores


def difference(
    a: Scores, b: Scores, scale: float = 1.0, confidence: float = CONFIDENCE
) -> Difference:
    """Return how much higher *a* scores than *b*, whatever the ungraded answers would have scored.

    The value is that of the samples that both sides have graded. The interval reaches from the
    lower bound of the worst case for *a* to the upper bound of the best case, as that of a score
    (:func:`snakeval.results.statistics.intervals.of_samples`). P is the larger one of both cases.
    """
    found = differences.difference(a, b, scale, confidence)
    if a.complete and b.complete:
        return found
    graded = f"{a.values.size} of {a.total} and {b.values.size} of {b.total} samples graded"
    if not (a.bounded and b.bounded):
        why = f"{graded}, and the range of the metric is unknown"
        return replace(found, low=None, high=None, p=None, method="", basis="", reason=why)
    worst = differences.difference(a.completed(0.0), b.completed(1.0), scale, confidence)
    best = differences.difference(a.completed(1.0), b.completed(0.0), scale, confidence)
    if worst.low is None or best.high is None or worst.value is None or best.value is None:
        why = worst.reason or best.reason
        return replace(found, low=None, high=None, p=None, method="", basis="", reason=why)
    # Without a sign in common, one of the cases between the two is no difference at all.
    ps = [worst.p, best.p] if worst.value * best.value > 0 else [1.0]
    value = worst.value if found.value is None else found.value
    return replace(
        worst,
        value=value,
        high=best.high,
        p=max((p for p in ps if p is not None), default=None),
        higher=found.higher,
        lower=found.lower,
        basis=f"{graded}, from the worst to the best case of the others",
    )
