"""Defines the section ``health``: the rules for cut, empty, refused and lost answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from snakeval.config.health_rules import FAIL, IGNORE, RULES, WARN, threshold
from snakeval.config.types import Strict, unknown_key

_LEVELS = (FAIL, WARN, IGNORE)


def _rule(value: object) -> object:
    """Return the thresholds of a rule by level: of a word, or of a mapping."""
    if isinstance(value, str) and value in _LEVELS:
        return {value: None}
    if not isinstance(value, Mapping) or not value or (IGNORE in value and len(value) > 1):
        raise PydanticCustomError(
            "rule",
            "is no rule of health; write fail, warn or ignore, or a mapping such as {example}",
            {"example": "{warn: 1 %, fail: 20 %}"},
        )
    found: dict[str, float | None] = {}
    for level, at in value.items():
        if level not in _LEVELS:
            raise unknown_key(level, _LEVELS)
        if at is None or level == IGNORE:
            found[level] = None
            continue
        try:
            found[level] = threshold(at)
        except ValueError:
            raise PydanticCustomError(
                "threshold",
                "{level}: is no threshold; write a count such as 1, or a share such as 0.05 or 5 %",
                {"level": str(level)},
            ) from None
    return found


Thresholds = Annotated[dict[str, float | None], BeforeValidator(_rule)]


class Health(Strict):
    """The rules of answer health. A rule that is not set comes from the layer above."""

    given_up: Thresholds | None = Field(default=None, description="requests without an answer")
    error: Thresholds | None = Field(default=None, description="errors with HTTP status 200")
    truncated: Thresholds | None = Field(default=None, description="answers that broke off")
    html: Thresholds | None = Field(default=None, description="pages in place of JSON")
    model: Thresholds | None = Field(default=None, description="answers of another model")
    cut: Thresholds | None = Field(default=None, description="answers cut by the token limit")
    empty: Thresholds | None = Field(default=None, description="answers without text")
    reasoning_only: Thresholds | None = Field(
        default=None, description="answers with reasoning and no text"
    )
    refused: Thresholds | None = Field(default=None, description="refusals and filtered answers")
    form: Thresholds | None = Field(
        default=None, description="answers without index, as parts, or without logprobs"
    )
    unparsed: Thresholds | None = Field(
        default=None, description="samples in which the harness found no answer"
    )
    equal: Thresholds | None = Field(
        default=None, description="items with equal answers to requests with a temperature"
    )
    name: Thresholds | None = Field(default=None, description="one constant other model name")
    fingerprint: Thresholds | None = Field(
        default=None, description="a system_fingerprint that changed"
    )
    seed: Thresholds | None = Field(default=None, description="seeds that the endpoint ignores")

    def plain(self) -> dict[str, dict[str, float]]:
        """Return the configured rules as :mod:`snakeval.config.health_rules` reads them."""
        found: dict[str, dict[str, float]] = {}
        for name in RULES:
            rule: Mapping[str, Any] | None = getattr(self, name)
            if rule is not None:
                found[name] = {
                    level: RULES[name].at if at is None else at
                    for level, at in rule.items()
                    if level != IGNORE
                }
        return found
