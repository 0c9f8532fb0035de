"""Reads the policy of a gate: the rules that a candidate's scores must meet."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import Field, ValidationError

from snakeval.config.problems import problems
from snakeval.config.source import merge
from snakeval.config.types import Strict
from snakeval.errors import ConfigError, nearest


class Rule(Strict):
    """A benchmark's rule for a candidate, in the metric's scale. None requires nothing."""

    max_drop: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="the largest allowed drop below the baseline",
    )
    significant: bool = Field(
        default=True,
        description="require evidence beyond chance; if false, the measured scores alone decide",
    )
    at_least: float | None = Field(
        default=None, allow_inf_nan=False, description="the lowest score that passes"
    )
    at_most: float | None = Field(
        default=None, allow_inf_nan=False, description="the highest score that passes"
    )

    @property
    def limits(self) -> int:
        """The number of limits that the rule has."""
        return sum(limit is not None for limit in (self.max_drop, self.at_least, self.at_most))


class Policy(Strict):
    """A gate: a default rule for all benchmarks, and special rules for some."""

    default: Rule = Rule()
    benchmarks: dict[str, Rule] = Field(
        default_factory=dict,
        description="rules by name or shell pattern; the first match counts, and `default` has "
        "the values that it lacks",
    )
    allow_missing: bool = Field(
        default=False, description="judge only the results that both sides have"
    )
    allow_changed: bool = Field(
        default=False, description="also judge benchmarks whose definitions differ"
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
