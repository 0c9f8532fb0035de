"""Decides what two measured scores prove about a rule of a gate: pass, fail or inconclusive.

A rule passes or fails only if the whole confidence interval is on one side of its limit. A limit
within the interval is inconclusive. Each wrong verdict therefore has a chance of at most 2.5 %,
which is the share of a 95 % interval beyond one of its bounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from snakeval.results.comparison import Compared
from snakeval.results.policy import Rule
from snakeval.results.statistics.differences import Difference, required
from snakeval.results.statistics.intervals import CONFIDENCE

#: The relative error of a difference of two floats: 0.5 - 0.48 is more than 0.02.
_ROUNDING = 1e-9


class Verdict(StrEnum):
    """The decision of a gate. The most serious one of several counts: fail, then inconclusive."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"

    @classmethod
    def of(cls, verdicts: Iterable[Verdict]) -> Verdict:
        """Return the verdict of a whole; nothing to judge is inconclusive."""
        found = {*verdicts} or {cls.INCONCLUSIVE}
        return next(each for each in (cls.FAIL, cls.INCONCLUSIVE, cls.PASS) if each in found)


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict on one rule, with its reason in half a sentence."""

    verdict: Verdict
    reason: str


def judged(rule: Rule, compared: Compared, limits: int = 1) -> Iterator[Judged]:
    """Yield the verdict on each limit of *rule*.

    *limits* is the number of limits that the whole gate tests. With several, a failure requires
    intervals and p-values with Bonferroni's correction, so the chance that a gate fails wrongly
    stays the same. A pass requires all limits to pass, so it requires no correction (Berger 1982,
    Technometrics 24:295).
    """
    lower_is_better = compared.a.metric.higher_is_better is False
    if rule.max_drop is not None:
        yield _drop(rule, rule.max_drop, compared, -1.0 if lower_is_better else 1.0, limits)
    for limit, sign in ((rule.at_least, 1.0), (rule.at_most, -1.0)):
        if limit is not None:
            yield _score(rule, limit, sign, compared, limits)


def _drop(rule: Rule, margin: float, compared: Compared, sign: float, limits: int) -> Judged:
    found = compared.difference
    if found.value is None:
        return Judged(Verdict.INCONCLUSIVE, f"cannot be compared ({found.reason})")
    gain = sign * found.value
    what = "no difference"
    if gain:
        what = f"better by {gain:.4g}" if gain > 0 else f"worse by {-gain:.4g}"
    limit = -margin - _ROUNDING * max(1.0, margin)
    more = gain < limit
    if not rule.significant:
        verdict = Verdict.FAIL if more else Verdict.PASS
        return Judged(verdict, f"{what}, {'more' if more else 'not more'} than {margin:.4g}")
    if found.low is None or found.high is None:
        return Judged(Verdict.INCONCLUSIVE, f"{what}, without an interval ({found.reason})")
    low, high = sorted((sign * found.low, sign * found.high))
    between = f"{what} ({low:+.4g} to {high:+.4g})"
    if low >= -margin:
        return Judged(Verdict.PASS, f"{between}, so a drop of more than {margin:.4g} is excluded")
    strict = compared.at(_corrected(limits)) if limits > 1 else found
    bounds = [sign * bound for bound in (strict.low, strict.high) if bound is not None]
    likely = found.p is not None and found.p * limits > 1 - CONFIDENCE
    if bounds and max(bounds) < limit and not likely:
        return Judged(Verdict.FAIL, f"{between}, more than {margin:.4g}{_correction(limits)}")
    if likely and high < limit:
        between += f" with p = {found.p:.2g}"
    return Judged(Verdict.INCONCLUSIVE, f"{between}; {_power(found, margin)}{_correction(limits)}")


def _power(found: Difference, margin: float) -> str:
    """Say which drop the samples can detect, and how many detect *margin*."""
    if margin == 0:
        return "no number of samples excludes a drop of 0; allow a drop, such as 0.01"
    units = "groups" if 0 < found.units < found.n else "samples"
    number = f"{found.units:,} {units}" if found.units else "these scores"
    if not found.detectable:
        return f"{number} cannot detect {margin:.4g}"
    if found.detectable <= margin:
        known = f"{number} can detect {found.detectable:.2g}"
        return f"{known}; {margin:.4g} is within the interval, so more {units} must decide"
    needs = required(found, margin)
    then = f"; {margin:.4g} needs {needs:,}" if needs else f", not {margin:.4g}"
    return f"{number} can detect {found.detectable:.2g}{then}"


def _score(rule: Rule, limit: float, sign: float, compared: Compared, limits: int) -> Judged:
    """Judge the candidate's own score; *sign* is -1 for a limit that it must not exceed."""
    measured = compared.a
    score = measured.metric.value
    keeps = sign * score >= sign * limit
    way = ("at least" if sign > 0 else "at most") if keeps else ("less" if sign > 0 else "more")
    what = f"{score:.4g} is {way}{'' if keeps else ' than'} {limit:.4g}"
    if not rule.significant:
        return Judged(Verdict.PASS if keeps else Verdict.FAIL, what)
    found = measured.interval
    if found.low is None or found.high is None:
        return Judged(Verdict.INCONCLUSIVE, f"{what}, without an interval ({found.reason})")
    between = f"{what} ({found.low:.4g} to {found.high:.4g})"
    if min(sign * found.low, sign * found.high) >= sign * limit:
        return Judged(Verdict.PASS, between)
    strict = measured.at(_corrected(limits)) if limits > 1 else found
    bounds = [sign * bound for bound in (strict.low, strict.high) if bound is not None]
    if bounds and max(bounds) < sign * limit:
        return Judged(Verdict.FAIL, f"{between}{_correction(limits)}")
    return Judged(Verdict.INCONCLUSIVE, f"{between}, perhaps by chance{_correction(limits)}")


def _corrected(limits: int) -> float:
    return 1 - (1 - CONFIDENCE) / limits


def _correction(limits: int) -> str:
    return f" (corrected for {limits} limits)" if limits > 1 else ""
