"""Compares a candidate with a baseline: what is better or worse, and whether a gate passes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from snakeval.config.problems import problems
from snakeval.config.source import merge
from snakeval.config.types import Strict
from snakeval.errors import ConfigError, nearest
from snakeval.evaluation.definition import changes
from snakeval.results.comparison import Compared, Measured, compare
from snakeval.results.statistics import differences

#: A note has at most so many changes of a definition.
_CHANGES = 3
#: The parts of an evaluation's identity that define its model.
_MODEL = frozenset(["model_id", "endpoint_url", "endpoint_type", "deployment"])


class Rule(Strict):
    """What a benchmark requires of a candidate, in the scale of its metric."""

    max_drop: float | None = Field(
        default=None, ge=0, description="how much worse than the baseline it may be"
    )
    significant: bool = Field(
        default=True, description="a drop counts only where it is significant"
    )
    at_least: float | None = Field(default=None, description="the least score that passes")
    at_most: float | None = Field(default=None, description="the highest score that passes")


class Policy(Strict):
    """A gate: a default rule, and rules for some benchmarks."""

    default: Rule = Rule()
    benchmarks: dict[str, Rule] = Field(
        default_factory=dict,
        description="by name or shell pattern, the first that fits; what a rule does not say is "
        "as in `default`",
    )
    allow_missing: bool = Field(
        default=False, description="whether the candidate may lack what the baseline has"
    )

    def rule(self, benchmark: str) -> Rule:
        """Return the rule of *benchmark*."""
        for pattern, rule in self.benchmarks.items():
            if fnmatchcase(benchmark, pattern):
                own = rule.model_dump(exclude_unset=True)
                return self.default.model_copy(update=own)
        return self.default


def read_policy(path: Path, benchmarks: Sequence[str]) -> Policy:
    """Read a policy for a comparison of *benchmarks*.

    Raises:
        ConfigError: one line for each thing that is wrong.
    """
    source = merge([path])
    try:
        policy = Policy.model_validate(source.data)
    except ValidationError as error:
        raise ConfigError.of(problems(error, source)) from None
    for pattern in policy.benchmarks:
        if not any(fnmatchcase(name, pattern) for name in benchmarks):
            raise ConfigError(
                "no such benchmark is compared",
                where=f"{path}: benchmarks.{pattern}",
                hint=nearest(pattern, benchmarks) or "correct or remove it",
            )
    return policy


@dataclass(frozen=True, slots=True)
class Row:
    """One benchmark: the candidate against the baseline.

    Attributes:
        compared: ``a`` is the candidate and ``b`` the baseline; None if one has not finished it.
        verdict: better, worse, no significant difference, unknown (they differ, perhaps by
            chance), not comparable, or missing.
        better, worse: the ids of the samples that got better, and worse.
        failed: why the gate fails, or nothing.
        changed: what differs in their definitions.
        problem: why it is missing.
    """

    model: str
    benchmark: str
    verdict: str
    compared: Compared | None = None
    better: tuple[str, ...] = ()
    worse: tuple[str, ...] = ()
    failed: str = ""
    changed: tuple[str, ...] = ()
    problem: str = ""

    @property
    def note(self) -> str:
        """How they were compared, or why not, and what of their definitions differs."""
        parts = [self.compared.difference.note if self.compared else self.problem]
        if self.changed:
            parts.append(f"defined otherwise: {'; '.join(self.changed[:_CHANGES])}")
        return "; ".join(parts)

    @property
    def remark(self) -> str:
        """The note, if it has more than how an interval was made; else nothing."""
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
    """Compare the evaluations that both have, by key, and apply *policy*.

    *missing* has the evaluations that only one of them has. The p-values are corrected for the
    number of comparisons.
    """
    keys = [key for key in baseline if key in candidate]
    found = compare([(candidate[key], baseline[key]) for key in keys])
    rows = [_row(*key, each, policy) for key, each in zip(keys, found, strict=True)]
    return [*rows, *_missing(missing, candidate, policy)]


def _row(model: str, benchmark: str, compared: Compared, policy: Policy | None) -> Row:
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
    failed = "; ".join(_breaches(policy.rule(benchmark), compared, gain)) if policy else ""
    before, after = (_definition(each) for each in (compared.b, compared.a))
    otherwise = tuple(changes(before, after))
    return Row(model, benchmark, verdict, compared, tuple(better), tuple(worse), failed, otherwise)


def _definition(measured: Measured) -> dict[str, Any]:
    """Return what defines an evaluation, except its model."""
    return {key: v for key, v in measured.record.identity.items() if key not in _MODEL}


def _gain(compared: Compared) -> float | None:
    """Return how much better the candidate is, in either direction of the metric."""
    value = compared.difference.value
    if value is None:
        return None
    return -value if compared.a.metric.higher_is_better is False else value


def _breaches(rule: Rule, compared: Compared, gain: float | None) -> Iterator[str]:
    score = compared.a.metric.value
    if rule.max_drop is not None:
        if gain is None:
            yield f"cannot be compared ({compared.difference.reason})"
        elif -gain > rule.max_drop:
            # Without a p-value the scores alone decide.
            unknown = compared.corrected is None
            if compared.significant or unknown or not rule.significant:
                sure = "" if compared.significant else ", perhaps by chance"
                yield f"worse by {-gain:.4g}, more than {rule.max_drop:.4g}{sure}"
    if rule.at_least is not None and score < rule.at_least:
        yield f"{score:.4g} is less than {rule.at_least:.4g}"
    if rule.at_most is not None and score > rule.at_most:
        yield f"{score:.4g} is more than {rule.at_most:.4g}"


def _missing(
    missing: Sequence[tuple[str, str]],
    candidate: Mapping[tuple[str, str], Measured],
    policy: Policy | None,
) -> Iterator[Row]:
    for key in missing:
        if key in candidate:
            yield Row(*key, "missing", problem="the baseline has not finished it")
        else:
            fails = policy is not None and not policy.allow_missing
            why = "the candidate has not finished it"
            yield Row(*key, "missing", failed=why if fails else "", problem=why)


def as_data(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the rows as plain data, with every digit."""
    return [_data(row) for row in rows]


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
            "n": difference.n,
            "n_baseline": difference.right,
            "n_candidate": difference.left,
            "ci_method": difference.method,
            "ci_reason": difference.reason,
            "detectable": difference.detectable,
            "samples_better": list(row.better),
            "samples_worse": list(row.worse),
        }
    return data | {"verdict": row.verdict, "gate": row.failed, "note": row.note}
