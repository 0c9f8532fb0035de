"""The interval of a difference between two proportions that share their samples."""

from __future__ import annotations

import math


def score_interval(higher: float, lower: float, n: float, quantile: float) -> tuple[float, float]:
    """Return the interval of (*higher* - *lower*) / *n*, from counts of changed samples.

    It is the score interval of Tango 1998 (Statistics in Medicine 17:891): it has each difference
    that a score test does not reject at *quantile* of the normal distribution. It is also right if
    few samples changed, or none. Fagerland, Lydersen and Laake 2014 (Statistics in Medicine
    33:2850) recommend it.
    """
    from scipy import optimize

    middle = (higher - lower) / n

    def excess(difference: float) -> float:
        return abs(_score(difference, higher, lower, n)) - quantile

    bounds = []
    for end in (-1.0, 1.0):
        far = end * (1 - 1e-12)
        inside = abs(middle) == 1 and middle == end
        bounds.append(
            end if inside or excess(far) <= 0 else float(optimize.brentq(excess, far, middle))
        )
    return min(bounds[0], middle), max(bounds[1], middle)


def _score(difference: float, higher: float, lower: float, n: float) -> float:
    """Return Tango's statistic: how many standard errors the counts are from *difference*.

    The variance uses the likeliest share of lower samples for this difference: the positive root of
    ``2n q² + b q - c``.
    """
    distance = higher - lower - n * difference
    b = (2 * n - higher + lower) * difference - higher - lower
    c = lower * difference * (1 - difference)
    share = (math.sqrt(max(b * b + 8 * n * c, 0.0)) - b) / (4 * n)
    variance = n * (2 * share + difference * (1 - difference))
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)
