"""Compares a candidate with a baseline, and decides whether a gate lets the candidate pass."""

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

#: The maximum number of changes of a definition in a note.
_CHANGES = 3
#: The parts of an evaluation's identity that describe its model.
_MODEL = frozenset(["model_id", "endpoint_url", "endpoint_type", "deployment"])


class Rule(Strict):
    """A benchmark's rule for a candidate, in the metric's scale. None requires nothing."""

    max_drop: float | None = Field(
        default=None, ge=0, description="the largest allowed drop below the baseline"
    )
    significant: bool = Field(default=True, description="count only significant drops")
    at_least: float | None = Field(default=None, description="the lowest score that passes")
    at_most: float | None = Field(default=None, description="the highest score that passes")


class Policy(Strict):
    """A gate: a default rule for all benchmarks, and special rules for some."""

    default: Rule = Rule()
    benchmarks: dict[str, Rule] = Field(
        default_factory=dict,
        description="rules by name or shell pattern; the first match counts, and `default` has "
        "the values that it lacks",
    )
    allow_missing: bool = Field(
        default=False, description="allow a candidate without some of the baseline's results"
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
        ConfigError: one line for each problem.
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
    """The comparison of candidate and baseline on one benchmark.

    Attributes:
        compared: ``a`` is the candidate and ``b`` the baseline; None if one has not finished it.
        verdict: better, worse, no significant difference, unknown (they differ, perhaps by
            chance), not comparable, or missing.
        better, worse: ids of the samples that changed for the better, and for the worse.
        failed: why the gate rejects the candidate; empty if it passes.
        changed: the differences between their definitions.
        problem: why the comparison is missing.
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
    """Compare the common keys and apply *policy*; *missing* has the keys that only one side has.

    The p-values are corrected for the number of comparisons.
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
    """Return an evaluation's definition without its model."""
    return {key: v for key, v in measured.record.identity.items() if key not in _MODEL}


def _gain(compared: Compared) -> float | None:
    """Return how much better the candidate is; it respects the metric's direction."""
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
            # If no test can exclude chance, the scores alone decide.
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
