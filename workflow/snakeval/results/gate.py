"""Compares a candidate with a baseline, and decides whether a gate lets the candidate pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from snakeval.evaluation.definition import changes
from snakeval.results.comparison import Compared, Measured, compare
from snakeval.results.evidence import Verdict, judged
from snakeval.results.policy import Policy
from snakeval.results.statistics import differences

#: The maximum number of changes of a definition in a note.
_CHANGES = 3
#: The parts of an evaluation's identity that describe its model, and the form of the identity.
_NOT_OF_THE_BENCHMARK = frozenset(
    ["model_id", "endpoint_url", "endpoint_type", "deployment", "format"]
)


@dataclass(frozen=True, slots=True)
class Row:
    """The comparison of candidate and baseline on one benchmark.

    Attributes:
        compared: ``a`` is the candidate and ``b`` the baseline; None if one has not finished it.
        verdict: better, worse, no significant difference, unknown (they differ, perhaps by
            chance), not comparable, or missing.
        better, worse: ids of the samples that changed for the better, and for the worse.
        gate: the verdict of the gate; None without a gate, or without a rule for the benchmark.
        gate_reason: the reason of that verdict.
        comparisons: for how many comparisons the p-value is corrected; 1 if it is not.
        changed: the differences between their definitions.
        problem: why the comparison is missing.
    """

    model: str
    benchmark: str
    verdict: str
    compared: Compared | None = None
    better: tuple[str, ...] = ()
    worse: tuple[str, ...] = ()
    gate: Verdict | None = None
    gate_reason: str = ""
    comparisons: int = 1
    changed: tuple[str, ...] = ()
    problem: str = ""

    @property
    def note(self) -> str:
        """The method of the comparison or why there is none, and the changes of the definition."""
        parts = [self.compared.difference.note if self.compared else self.problem]
        if self.changed:
            parts.append(f"different definition: {'; '.join(self.changed[:_CHANGES])}")
        return "; ".join(parts)

    @property
    def remark(self) -> str:
        """The note, if it has more than the interval's method; else empty."""
        if self.compared is None or self.changed or self.verdict == "not comparable":
            return self.note
        difference = self.compared.difference
        return self.note if difference.reason or difference.method == "unpaired" else ""


def judge(
    baseline: Mapping[tuple[str, str], Measured],
    candidate: Mapping[tuple[str, str], Measured],
    missing: Sequence[tuple[str, str]],
    policy: Policy | None,
) -> list[Row]:
    """Compare the common keys and apply *policy*; *missing* has keys that a side has not finished.

    The p-values are corrected for the number of comparisons, and the gate for the number of its
    own limits: other benchmarks of the table change no verdict of the gate.
    """
    keys = [key for key in baseline if key in candidate]
    found = compare([(candidate[key], baseline[key]) for key in keys])
    rows = [_row(*key, each) for key, each in zip(keys, found, strict=True)]
    tests = sum(row.compared is not None and row.compared.corrected is not None for row in rows)
    rows = [replace(row, comparisons=max(1, tests)) for row in rows]
    rows = [*rows, *(_missing(key, baseline, candidate) for key in missing)]
    return rows if policy is None else list(_gated(rows, policy))


def _row(model: str, benchmark: str, compared: Compared) -> Row:
    lower = compared.a.metric.higher_is_better is False
    better: list[str] = []
    worse: list[str] = []
    if compared.a.scores is not None and compared.b.scores is not None:
        higher_ids, lower_ids = differences.changed(compared.a.scores, compared.b.scores)
        better, worse = (lower_ids, higher_ids) if lower else (higher_ids, lower_ids)
    gain = _gain(compared)
    if gain is None:
        verdict = "not comparable"
    elif compared.corrected is None and gain != 0:
        verdict = "unknown"
    elif compared.significant and gain != 0:
        verdict = "better" if gain > 0 else "worse"
    else:
        verdict = "no significant difference"
    before, after = (_definition(each) for each in (compared.b, compared.a))
    otherwise = tuple(changes(before, after))
    sides = (tuple(better), tuple(worse))
    return Row(model, benchmark, verdict, compared, *sides, changed=otherwise)


def _definition(measured: Measured) -> dict[str, Any]:
    """Return an evaluation's definition without its model."""
    identity = measured.record.identity
    return {key: v for key, v in identity.items() if key not in _NOT_OF_THE_BENCHMARK}


def _gain(compared: Compared) -> float | None:
    """Return how much better the candidate is; it respects the metric's direction."""
    value = compared.difference.value
    if value is None:
        return None
    return -value if compared.a.metric.higher_is_better is False else value


def _missing(
    key: tuple[str, str],
    baseline: Mapping[tuple[str, str], Measured],
    candidate: Mapping[tuple[str, str], Measured],
) -> Row:
    sides = {"the baseline": baseline, "the candidate": candidate}
    lacking = [name for name, found in sides.items() if key not in found]
    who = lacking[0] + " has" if len(lacking) == 1 else "both sides have"
    return Row(*key, "missing", problem=f"{who} not finished it")


def _gated(rows: Sequence[Row], policy: Policy) -> Iterator[Row]:
    """Yield the rows with the gate's verdicts; several limits share one correction."""
    blocked = [_obstacle(row, policy) for row in rows]
    tested = [
        0 if why or row.compared is None or not rule.significant else rule.limits
        for row, why in zip(rows, blocked, strict=True)
        for rule in [policy.rule(row.benchmark)]
    ]
    for row, why in zip(rows, blocked, strict=True):
        rule = policy.rule(row.benchmark)
        if row.compared is None:
            gate = None if policy.allow_missing else Verdict.INCONCLUSIVE
            yield replace(row, gate=gate, gate_reason="" if gate is None else row.problem)
        elif not rule.limits:
            yield row
        elif why:
            yield replace(row, gate=Verdict.INCONCLUSIVE, gate_reason=why)
        else:
            found = list(judged(rule, row.compared, max(1, sum(tested))))
            worst = Verdict.of(each.verdict for each in found)
            reason = "; ".join(each.reason for each in found if each.verdict == worst)
            yield replace(row, gate=worst, gate_reason=reason)


def _obstacle(row: Row, policy: Policy) -> str:
    """Return why the scores of a row prove nothing, whatever they are; otherwise nothing."""
    if row.compared is None:
        return ""
    if row.compared.a.is_copy_of(row.compared.b):
        return "both sides are one result of one run"
    for name, side in (("baseline", row.compared.b), ("candidate", row.compared.a)):
        if side.unhealthy:
            return f"the answers of the {name} are not sound: {side.unhealthy}"
    if row.changed and not policy.allow_changed:
        return f"the definitions differ ({'; '.join(row.changed[:_CHANGES])})"
    return ""


def outcome(rows: Sequence[Row]) -> tuple[Verdict, str]:
    """Return the verdict of the whole gate, and how many benchmarks have which verdict."""
    found = [row.gate for row in rows if row.gate is not None]
    if not found:
        return Verdict.INCONCLUSIVE, "no rule applies to a benchmark that both sides have"
    counts = [(found.count(each), each) for each in Verdict if each in found]
    said = ", ".join(f"{count} {each}" for count, each in counts)
    return Verdict.of(found), f"of {len(found)} benchmarks: {said}"


def as_data(rows: Sequence[Row], *, gated: bool) -> list[dict[str, Any]]:
    """Return the rows as plain data, with every digit. Each has the verdict of the whole gate."""
    whole = outcome(rows)[0].value if gated else None
    return [{**_data(row), "gate_overall": whole} for row in rows]


def _data(row: Row) -> dict[str, Any]:
    data: dict[str, Any] = {"model": row.model, "benchmark": row.benchmark}
    if (found := row.compared) is not None:
        difference = found.difference
        data |= {
            "metric": found.a.metric.metric,
            "filter": found.a.metric.filter,
            "baseline": found.b.metric.value,
            "candidate": found.a.metric.value,
            "difference": difference.value,
            "ci_low": difference.low,
            "ci_high": difference.high,
            "p": found.corrected,
            "p_uncorrected": difference.p,
            "p_comparisons": row.comparisons,
            "n": difference.n,
            "n_baseline": difference.right,
            "n_candidate": difference.left,
            "ci_method": difference.method,
            "ci_reason": difference.reason,
            "detectable": difference.detectable,
            "samples_better": list(row.better),
            "samples_worse": list(row.worse),
        }
    gate = {
        # Readers of version one know `gate` alone. The next release removes it.
        "gate": row.gate_reason if row.gate is Verdict.FAIL else "",
        "gate_verdict": row.gate and row.gate.value,
        "gate_reason": row.gate_reason,
    }
    return data | {"verdict": row.verdict, **gate, "note": row.note}
