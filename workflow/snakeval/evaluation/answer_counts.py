"""Counts the answers of one model in a journal, for :mod:`snakeval.evaluation.health`."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from snakeval.evaluation.health import Answers
from snakeval.ledger.asked import Asked
from snakeval.ledger.choices import Choice, choices_of
from snakeval.ledger.counts import Histogram
from snakeval.ledger.endings import is_cut, is_known
from snakeval.ledger.flights import HELPERS
from snakeval.ledger.forms import has_likelihoods
from snakeval.ledger.parts import named, parts_of
from snakeval.ledger.records import Answer

#: An answer of so many tokens is long: two equal ones at a temperature are no chance.
_LONG_TOKENS = 40
#: As many characters, if the provider counts no tokens, or 0 of them.
_LONG_CHARACTERS = 4 * _LONG_TOKENS
#: Names and examples that are kept of each kind.
_NAMES, _EXAMPLES = 50, 20


class AnswerCounts:
    """Counts answers one by one. All answers to one question have to follow each other."""

    def __init__(self) -> None:
        self._n: Counter[str] = Counter()
        self._names: Counter[str] = Counter()
        self._fingerprints: Counter[str] = Counter()
        self._seeds: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()
        self._waits: defaultdict[str, float] = defaultdict(float)
        self._examples: dict[str, list[str]] = {}
        self._first, self._whole = Histogram(), Histogram()
        self._begins, self._ends = array("d"), array("d")
        self._question = _Question()
        self._asked_name = ""

    def add(self, key: bytes, occurrence: int, answer: Answer) -> None:
        """Count an answer."""
        meta = answer.meta
        if str(meta.get("path", "")).partition("?")[0].endswith(HELPERS):
            return
        name = key.hex()[:12] + (f"-{occurrence + 1}" if occurrence else "")
        self._measure(meta)
        if int(meta.get("status", 200)) >= 400:
            self._note("refused", name)
            return
        self._n["answered"] += 1
        if key != self._question.key:
            self._end_question()
            self._question = _Question(key)
        parts = parts_of(answer)
        request = Asked(answer.request)
        self._asked_name = self._asked_name or str(request.data.get("model") or "")
        for said, found in (("model", self._names), ("system_fingerprint", self._fingerprints)):
            text = named(parts, said)
            if text and (text in found or len(found) < _NAMES):
                found[text] += 1
        tokens = meta.get("tokens") or {}
        choices = list(choices_of(parts))
        is_odd = not all(has_likelihoods(part, request) for part in parts)
        for choice in choices:
            choice.reasoning |= bool(tokens.get("reasoning"))
            choice.is_odd |= is_odd
            self._choice(choice, request, name)
            if request.wants_text:
                used = tokens.get("completion") if len(choices) == 1 else None
                self._ending(choice.finish, request.most_tokens, used, name)
        texts = [choice.text for choice in choices]
        if 0 < len(texts) < request.samples:
            self._note("form", name)
        self._question.add(texts, tokens.get("completion"), request, meta.get("sent"))

    def miss(self) -> None:
        """Count an answer that cannot be read."""
        self._n["missing"] += 1

    def _measure(self, meta: Mapping[str, Any]) -> None:
        self._n["retries"] += max(0, int(meta.get("tries", 1)) - 1)
        waits = {cause: float(s) for cause, s in (meta.get("waits") or {}).items()}
        for cause, seconds in waits.items():
            self._waits[cause] += seconds
        self._tokens.update(meta.get("tokens") or {})
        if (whole := float(meta.get("whole") or 0)) > 0:
            self._first.add(float(meta.get("first") or 0))
            self._whole.add(whole)
        if began := float(meta.get("time") or 0):
            self._begins.append(began)
            self._ends.append(began + sum(waits.values()) + whole)

    def _note(self, rule: str, name: str) -> None:
        self._n[rule] += 1
        kept = self._examples.setdefault(rule, [])
        if len(kept) < _EXAMPLES and name not in kept:
            kept.append(name)

    def _choice(self, choice: Choice, request: Asked, name: str) -> None:
        self._n["choices"] += 1
        if choice.is_refused:
            self._note("refused", name)
            self._n["filtered"] += 1
        elif lack := choice.lack(request):
            self._note(lack, name)
        if choice.is_odd or (request.wants_logprobs and not choice.logprobs):
            self._note("form", name)

    def _ending(self, finish: str, most: float | None, used: int | None, name: str) -> None:
        """Count why a text ended; *used* of *most* tokens count if the provider says nothing."""
        if is_cut(finish):
            self._note("cut", name)
        elif not is_known(finish):
            at_limit = most is not None and used is not None and used >= most > 0
            self._note("cut" if at_limit else "unended", name)

    def _end_question(self) -> None:
        question = self._question
        if question.is_several:
            self._n["items"] += 1
            if question.is_equal:
                self._note("equal", question.key.hex()[:12])
        for kind in question.seeds:
            self._seeds[kind] += 1

    def found(self) -> Answers:
        """Return the counts."""
        self._end_question()
        self._question = _Question()
        known = (
            "cut", "unended", "empty", "reasoning_only", "refused", "filtered", "form", "items",
            "equal",
        )  # fmt: skip
        counted = Answers(
            answered=self._n["answered"],
            choices=self._n["choices"],
            retries=self._n["retries"],
            asked_name=self._asked_name,
            names=dict(self._names),
            fingerprints=dict(self._fingerprints),
            seeds=dict(self._seeds),
            first_byte=_quantiles(self._first),
            whole=_quantiles(self._whole),
            tokens=dict(self._tokens),
            waits={cause: round(seconds, 3) for cause, seconds in self._waits.items()},
            seconds=_under_way(self._begins, self._ends),
            missing=self._n["missing"],
            examples={rule: tuple(found) for rule, found in self._examples.items()},
        )
        numbers: dict[str, Any] = {name: self._n[name] for name in known}
        return replace(counted, **numbers)


class _Question:
    """The answers to equal requests."""

    def __init__(self, key: bytes = b"") -> None:
        self.key = key
        self.seeds: set[str] = set()
        self._first: tuple[bytes, bool, Asked, Any] | None = None
        self._seen: dict[Any, bytes] = {}
        self._number = 0
        self.is_equal = self._is_long = True

    def add(self, texts: list[str], tokens: int | None, request: Asked, sent: Any) -> None:
        """Add the texts of an answer."""
        many = tokens if len(texts) == 1 else None
        for text in texts:
            long = len(text) >= _LONG_CHARACTERS if not many else many >= _LONG_TOKENS
            content = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
            self._number += 1
            if self._first is None:
                # Almost all questions have one answer, and need no more.
                self._first = content, long, request, sent
                self._is_long = long
                continue
            self.is_equal &= content == self._first[0]
            self._is_long &= long
            self._compare_seeds(content, request, sent)

    def _compare_seeds(self, content: bytes, request: Asked, sent: Any) -> None:
        assert self._first is not None
        if not self._seen:
            self._seen[_seed(self._first[2], self._first[3])] = self._first[0]
        seed = _seed(request, sent)
        before = self._seen.setdefault(seed, content)
        if seed is not None and before is not content and request.is_sampled:
            self.seeds.add("equal" if before == content else "different")

    @property
    def is_several(self) -> bool:
        """Whether it has several long answers that may differ."""
        return (
            self._number > 1
            and self._is_long
            and self._first is not None
            and self._first[2].is_sampled
        )


def _seed(request: Asked, sent: Any) -> int | None:
    changed = sent.get("seed") if isinstance(sent, dict) else None
    seed = request.data.get("seed") if changed is None else changed
    return seed if isinstance(seed, int) else None


def _quantiles(durations: Histogram) -> dict[str, float] | None:
    data = durations.data()
    return {name: data[name] for name in ("median", "p95")} if data["median"] else None


def _under_way(begins: array[float], ends: array[float]) -> float | None:
    """Return the seconds in which at least one of the requests was under way."""
    if not begins:
        return None
    total, until = 0.0, float("-inf")
    for place in sorted(range(len(begins)), key=begins.__getitem__):
        total += max(0.0, ends[place] - max(begins[place], until))
        until = max(until, ends[place])
    return round(total, 3)
