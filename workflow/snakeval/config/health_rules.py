"""The rules of answer health: what each finding is called, and what it means for an evaluation.

This module is the only table of thresholds and defaults. It imports nothing, so that jobs start
quickly.

A rule has a threshold for each level that it can reach. A threshold of 1 or more is a number of
requests, answers or samples, and one below 1 is a share of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: The levels of a finding, the gravest first. ``note`` is a default only.
FAIL, WARN, NOTE, IGNORE = "fail", "warn", "note", "ignore"
LEVELS = (FAIL, WARN, NOTE)
#: The thresholds of one rule, by level. Without any, the rule is ignored.
Thresholds = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        level, at: its default level, and the threshold of a level for which none is configured.
        short: the finding in a cell of a table, after its number: ``12 % cut``.
        long: the finding in a sentence, after its number: ``7 of 60 answers were cut``.
        advice: what to change.
        asks_again: whether the same command requests what is missing again.
    """

    level: str
    at: float
    short: str
    long: str
    advice: str = ""
    asks_again: bool = False
    default: Thresholds = field(init=False)

    def __post_init__(self) -> None:
        """Make the default thresholds."""
        object.__setattr__(self, "default", {self.level: self.at})


#: The advice of the rules that ask again.
AGAIN = "run the same command to request them again"
RULES: Mapping[str, Rule] = {
    "given_up": Rule(
        FAIL, 1, "given up", "requests received no answer", AGAIN, asks_again=True
    ),
    "error": Rule(
        FAIL, 1, "errors", "answers were errors with HTTP status 200", AGAIN, asks_again=True
    ),
    "truncated": Rule(
        FAIL, 1, "truncated", "answers broke before their end", AGAIN, asks_again=True
    ),
    "html": Rule(
        FAIL, 1, "no JSON", "answers were pages and no JSON", AGAIN, asks_again=True
    ),
    "model": Rule(
        FAIL, 1, "of another model", "answers name another model", AGAIN, asks_again=True
    ),
    "cut": Rule(
        WARN, 0.01, "cut", "answers were cut by the token limit", "raise params.max_new_tokens"
    ),
    "empty": Rule(
        WARN, 0.01, "empty", "answers were empty",
        "raise params.max_new_tokens if the model reasons, and see `snakeval requests --empty`",
    ),
    "reasoning_only": Rule(
        WARN, 0.01, "reasoning only", "answers had reasoning and no text",
        "raise params.max_new_tokens",
    ),
    "refused": Rule(WARN, 0.01, "refused", "requests were refused by the endpoint or its filter"),
    "form": Rule(
        WARN, 0.01, "of odd form",
        "answers had a form that harnesses misread (no index, parts, no logprobs, fewer than n)",
        "let the endpoint answer in the form of OpenAI's API",
    ),
    "unparsed": Rule(WARN, 0.01, "not parsed", "samples had no answer that the harness can parse"),
    "equal": Rule(
        WARN, 0.5, "with equal answers", "items received equal answers to all their requests",
        "the endpoint may ignore the temperature or the seed",
    ),
    "name": Rule(NOTE, 1, "named differently", "answers name the model differently"),
    "fingerprint": Rule(NOTE, 1, "of changed systems", "answers have another system_fingerprint"),
    "seed": Rule(NOTE, 1, "seeds ignored", "items received different answers with one seed"),
}  # fmt: skip
#: The rules whose answers ``--ask-again unhealthy`` selects.
SELECTED = ("cut", "empty", "reasoning_only", "refused")


def thresholds(configured: Mapping[str, Any], name: str) -> Thresholds:
    """Return the thresholds of the rule *name*; *configured* has those that are not the default."""
    found = configured.get(name)
    return RULES[name].default if found is None else found


def threshold(value: object) -> float:
    """Return a threshold that a configuration writes: a count, a share, or ``5 %``.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, str):
        text = value.strip()
        if not text.isascii() or "_" in text:
            raise ValueError("no plain digits")  # `float` reads those of any script
        found = float(text[:-1]) / 100 if text.endswith("%") else float(text)
        if text.endswith("%") and found >= 1:
            raise ValueError("all of them is no share, since 1 is a count")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        found = value
    else:
        raise ValueError("no number")
    if not 0 < found < 2**53 or (found > 1 and found != int(found)):
        raise ValueError("neither a share nor a count")
    return found


def is_reached(at: float, count: float, total: float, *, exceeded: bool = False) -> bool:
    """Whether *count* of *total* reaches a threshold; *exceeded* requires more than a share."""
    if count <= 0:
        return False
    if at >= 1:
        return count >= at
    share = count / total if total else 1.0
    return share > at if exceeded else share >= at


def threshold_text(at: float) -> str:
    """Return a threshold for people.

    >>> threshold_text(1), threshold_text(0.01), threshold_text(0.125)
    ('1', '1 %', '12.5 %')
    """
    return f"{at:.0f}" if at >= 1 else f"{100 * at:g} %"
