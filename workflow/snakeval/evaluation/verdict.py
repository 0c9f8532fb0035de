"""Judges the health of an evaluation by the rules of a configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from snakeval.config.health_rules import (
    AGAIN,
    FAIL,
    LEVELS,
    NOTE,
    RULES,
    SELECTED,
    WARN,
    is_reached,
    threshold_text,
    thresholds,
)
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.health import Answers, Health
from snakeval.ledger.plain_text import listed

#: The longest reason of a failure.
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a rule found.

    Attributes:
        rule: its name in :data:`snakeval.config.health_rules.RULES`.
        level: ``fail``, ``warn`` or ``note``; *at* is the threshold that it reached.
        count, total: how many of how many requests, answers, items or samples.
        model: the model whose answers they are; empty for the harness's samples.
        detail: names that the rule found, or an empty text.
        examples: the ids of some answers; see ``snakeval requests``.
    """

    rule: str
    level: str
    at: float
    count: int
    total: int
    model: str = ""
    detail: str = ""
    examples: tuple[str, ...] = ()

    @property
    def cell(self) -> str:
        """The finding in a cell of a table: ``12 % cut``, ``2 given up``."""
        share = self.count / self.total if self.total else 0.0
        is_share = self.at < 1 and share >= 0.01
        number = f"{100 * share:.0f} %" if is_share else f"{self.count}"
        return f"{number} {RULES[self.rule].short}"

    @property
    def sentence(self) -> str:
        """The finding in words: ``7 of 60 answers were cut by the token limit``."""
        of = f" of {self.total}" if self.total else ""
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.count}{of} {RULES[self.rule].long}{detail}"

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data for programs."""
        return {
            "rule": self.rule,
            "level": self.level,
            "count": self.count,
            "total": self.total,
            "model": self.model,
            "text": self.sentence,
            "examples": list(self.examples),
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """The findings of the rules in the health of an evaluation, the gravest first.

    Attributes:
        unknown: why nothing, or not all, is known of the answers, or an empty text.
        undecided: the findings of which it is unknown, as in a cell: ``cut``.
        run: the id of the run, for the commands of a reason.
    """

    findings: tuple[Finding, ...] = ()
    unknown: str = ""
    undecided: str = ""
    run: str = ""

    def _of(self, level: str) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.level == level)

    @property
    def fails(self) -> tuple[Finding, ...]:
        """The findings for which the evaluation fails."""
        return self._of(FAIL)

    @property
    def warns(self) -> tuple[Finding, ...]:
        """The findings that the table, the last lines of a run and the report carry."""
        return self._of(WARN)

    @property
    def notes(self) -> tuple[Finding, ...]:
        """The findings that are facts beside the result."""
        return self._of(NOTE)

    @property
    def asks_again(self) -> bool:
        """Whether the same command requests again what failed.

        It does not if a finding is about kept answers: they would be the same ones.
        """
        return bool(self.fails) and all(RULES[each.rule].asks_again for each in self.fails)

    @property
    def cell(self) -> str:
        """The verdict in a cell of a table: ``ok``, ``unknown``, or the findings."""
        grave = [each.cell for each in (*self.fails, *self.warns)]
        if self.undecided:
            grave.append(f"{self.undecided} unknown")
        return ", ".join(grave) or ("unknown" if self.unknown else "ok")

    @property
    def warning(self) -> str:
        """The warnings in one sentence, or an empty text."""
        return "; ".join(_with_advice(each, f"{each.sentence}") for each in self.warns)

    @property
    def reason(self) -> str:
        """Why the evaluation fails: counts, rule and what to do, in a sentence."""
        return self.reason_with(AGAIN)

    def reason_with(self, again: str) -> str:
        """Return the reason of the failure; *again* says what requests again what failed."""
        first = self.fails[0]
        who = f" ({first.model})" if first.model else ""
        rule = f"rule health.{first.rule}: {FAIL} at {threshold_text(first.at)}"
        parts = [f"{first.sentence}{who}, {rule}"]
        others = [each.cell for each in self.fails[1:]]
        if others:
            parts.append(f"also {', '.join(others)}")
        asks, advice = RULES[first.rule].asks_again, RULES[first.rule].advice
        if self.asks_again:
            advice = again
        else:
            which = "unhealthy" if first.rule in SELECTED else "all"
            drops = f"`snakeval resume {self.run or 'ID'} --ask-again {which}` requests them again"
            advice = drops if asks or not advice else f"{advice}, or {drops}"
        parts.append(advice)
        text = "; ".join(part for part in parts if part)
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _with_advice(finding: Finding, text: str) -> str:
    advice = RULES[finding.rule].advice
    return f"{text}; {advice}" if advice else text


def judge(health: Health, rules: Mapping[str, Any], expected: Mapping[str, str]) -> Verdict:
    """Return what *rules* find in *health*.

    *rules* has the thresholds that are not the default, and *expected* the name that the answers of
    a model should have, by the model's name in the configuration.
    """
    found = [
        finding
        for model, answers in health.models.items()
        for finding in _of_model(model, answers, rules, expected.get(model, ""))
    ]
    if health.unparsed:
        found += _found("unparsed", health.unparsed, health.samples or 0, rules)
    ranked = sorted(found, key=lambda each: LEVELS.index(each.level))
    unknown = health.unknown or _missing(health)
    unended = "" if unknown else _unended(health, rules)
    return Verdict(tuple(ranked), unknown or unended, RULES["cut"].short if unended else "")


def _missing(health: Health) -> str:
    """Return why the health of a damaged journal is unknown, or nothing."""
    number = sum(answers.missing or 0 for answers in health.models.values())
    return f"{number} answers cannot be read from its journal" if number else ""


def _unended(health: Health, rules: Mapping[str, Any]) -> str:
    """Return why it is unknown whether the rule ``cut`` finds more, or nothing."""
    for model, answers in health.models.items():
        total, sure, open_ = answers.choices or 0, answers.cut or 0, answers.unended or 0
        at_least = [each.level for each in _found("cut", sure, total, rules)]
        if at_least != [each.level for each in _found("cut", sure + open_, total, rules)]:
            return (
                f"{open_} of {total} answers of {model} have no known finish_reason, so the token "
                "limit may have cut them"
            )
    return ""


def judge_evaluation(evaluation: Evaluation, health: object) -> Verdict:
    """Return what the rules of *evaluation* find in *health*, as a record has it."""
    transport = evaluation.transport
    return judge(Health.read(health), transport.health, transport.answers_as)


def names_to_keep(evaluation: Evaluation, health: object) -> dict[str, str]:
    """Return the name that counts of each model whose answers name another one, if that fails.

    A model that is not asked has no other answers, so its name is left out.
    """
    transport, models = evaluation.transport, Health.read(health).models
    failed = {f.model for f in judge_evaluation(evaluation, health).fails if f.rule == "model"}
    asked = (name for name in failed if transport.asks(name))
    return {n: name_to_keep(models[n], transport.answers_as.get(n, "")) for n in asked}


def _of_model(
    model: str, answers: Answers, rules: Mapping[str, Any], expected: str
) -> Iterator[Finding]:
    asked, choices = answers.asked or 0, answers.choices or 0
    for name in ("given_up", "error", "truncated", "html"):
        yield from _found(name, getattr(answers, name), asked, rules, model, answers)
    others, detail = other_names(answers, expected)
    yield from _found("model", others, sum(answers.names.values()), rules, model, answers, detail)
    if not others and not expected and answers.asked_name not in ("", *answers.names):
        named = sum(answers.names.values())
        detail = f"{listed(answers.names, 3)} for {listed([answers.asked_name])}"
        yield from _found("name", named, named, rules, model, detail=detail)
    for name in ("cut", "empty", "reasoning_only", "refused", "form"):
        # A refusal of the endpoint is no choice, and one of its filter is.
        apart = (answers.refused or 0) - (answers.filtered or 0)
        total = choices + apart if name == "refused" else choices
        yield from _found(name, getattr(answers, name), total, rules, model, answers)
    yield from _found("equal", answers.equal, answers.items or 0, rules, model, answers)
    prints, seeds = answers.fingerprints, answers.seeds
    yield from _found("fingerprint", _minority(prints), sum(prints.values()), rules, model)
    yield from _found("seed", seeds.get("different"), sum(seeds.values()), rules, model)


def _found(
    rule: str,
    count: int | None,
    total: int,
    rules: Mapping[str, Any],
    model: str = "",
    answers: Answers | None = None,
    detail: str = "",
) -> Iterator[Finding]:
    """Yield the finding of a rule at the gravest level whose threshold it reaches."""
    configured = thresholds(rules, rule)
    for level in LEVELS:
        at = configured.get(level)
        if at is not None and is_reached(at, count or 0, total, exceeded=rule == "equal"):
            examples = tuple(answers.examples.get(rule, ())) if answers else ()
            yield Finding(rule, level, at, count or 0, total, model, detail, examples)
            return


def name_to_keep(answers: Answers, expected: str) -> str:
    """Return the name of the model whose answers count: the expected one, or the most frequent."""
    return expected or max(answers.names, key=lambda name: answers.names[name], default="")


def other_names(answers: Answers, expected: str) -> tuple[int, str]:
    """Return how many answers name another model than the one that counts, and which."""
    kept = name_to_keep(answers, expected)
    others = {name: number for name, number in answers.names.items() if name != kept}
    named = f"{listed(sorted(others), 3)} besides {listed([kept])}" if others else ""
    return sum(others.values()), named


def _minority(counts: Mapping[str, int]) -> int:
    return sum(counts.values()) - max(counts.values(), default=0)
