"""Defines the errors that people see, each with a problem, a place and a hint.

Code reads these fields and never parses the text of an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from snakeval.ledger.plain_text import PASSWORD, QUERY_SECRET, TOKEN, visible, without_tokens


def holds_token(text: str) -> bool:
    """Whether a token of a known service is anywhere in *text*.

    >>> [holds_token(text) for text in ("my hf_token", "Bearer hf_AbCdEf123456AbCdEf")]
    [False, True]
    """
    return re.search(TOKEN, text) is not None


def holds_password(text: str) -> bool:
    """Whether a URL in *text* holds a password.

    >>> [holds_password(text) for text in ("http://me:$PASSWORD@host", "http://me:word@host")]
    [False, True]
    """
    return "://" in text and re.search(PASSWORD, text) is not None


def secret_in_query(text: str) -> str:
    """Return the name of a parameter that holds a key in a URL's query, or an empty text.

    >>> [secret_in_query(f"http://host/v1?{query}") for query in ("api-version=1", "api-key=word")]
    ['', 'api-key']
    """
    found = re.search(QUERY_SECRET, text) if "://" in text else None
    return found["name"] if found else ""


#: The beginning of a word that is longer than a path of any file system for people.
_ENDLESS = re.compile(r"([^\s;]{80})[^\s;]{920,}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of an input or an evaluation.

    Attributes:
        problem: the cause, in half a sentence.
        where: the file and the key, the option or the name with the problem; empty if ``problem``
            contains it.
        hint: a command or a value that fixes the problem; may be empty.
    """

    problem: str
    where: str = ""
    hint: str = ""

    def __str__(self) -> str:
        """Return one line, ``where: problem; hint``, the only format of errors, without tokens."""
        place = f"{self.where}: " if self.where else ""
        text = f"{place}{self.problem}{f'; {self.hint}' if self.hint else ''}"
        return without_tokens(visible(_ENDLESS.sub(r"\1…", text)))

    def within(self, place: str) -> Problem:
        """Return the problem with *place*, such as a file, before ``where``."""
        return replace(self, where=f"{place}: {self.where}" if self.where else place)

    def under(self, key: str) -> Problem:
        """Return the problem with *key*, such as a section's name, before the key in ``where``."""
        return replace(self, where=f"{key}.{self.where}" if self.where else key)


class ConfigError(ValueError):
    """An invalid configuration or another invalid input.

    Attributes:
        problems: all problems, each of which is one line of the text.
    """

    def __init__(self, problem: str, *, where: str = "", hint: str = "") -> None:
        if where or hint:
            self.problems: tuple[Problem, ...] = (Problem(problem, where, hint),)
        else:
            self.problems = tuple(Problem(line) for line in problem.splitlines())
        super().__init__("\n".join(map(str, self.problems)))

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> Self:
        """Return one error for several problems, without duplicates."""
        found = tuple(dict.fromkeys(problems))
        error = cls("\n".join(map(str, found)))
        error.problems = found
        return error

    def within(self, place: str) -> Self:
        """Return the error with *place*, such as a file, before ``where`` of each problem."""
        return type(self).of(problem.within(place) for problem in self.problems)


class EvaluationError(RuntimeError):
    """An evaluation failed, or something that it requires. The text is one line.

    Attributes:
        problem, where, hint: as in :class:`Problem`.
        kind: a word by which programs recognise the failure in its note; empty for most.
    """

    kind = ""

    def __init__(self, problem: str, *, where: str = "", hint: str = "") -> None:
        self.problem, self.where, self.hint = (
            without_tokens(visible(" ".join(text.split()))) for text in (problem, where, hint)
        )
        super().__init__(str(Problem(self.problem, self.where, self.hint)))


class GoneError(EvaluationError):
    """The checkpoint of an evaluation was deleted, so no other try can succeed."""

    kind = "gone"


class Interrupted(Exception):
    """The job received a signal to stop while it waited."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x' or 'y'?"`` for the names closest to *word*, or nothing."""
    close = nearest(word, list(known))
    return f"; {close}" if close else ""


def nearest(word: str, known: Sequence[str]) -> str:
    """Return ``"did you mean 'x' or 'y'?"`` for the names closest to *word*, or nothing."""
    import difflib  # rarely used, and every job imports this module

    close = difflib.get_close_matches(word, known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else ""


def misspelt(word: str, known: Iterable[str]) -> str:
    """Return the known word of which *word* has one letter more, less, changed or moved.

    Words may differ in a number, which is a version or a size.

    >>> misspelt("ifevall", ["ifeval", "ifeval2"]), misspelt("aime24", ["aime25"])
    ('ifeval', '')
    """
    for other in known:
        start = _shared(word, other)
        end = _shared(word[start:][::-1], other[start:][::-1])
        parts = (word[start : len(word) - end], other[start : len(other) - end])
        swapped = len(parts[0]) == 2 and parts[0] == parts[1][::-1]
        if (max(map(len, parts)) == 1 or swapped) and "".join(parts).isalpha():
            return other
    return ""


def _shared(one: str, other: str) -> int:
    """Return the number of equal characters at the beginning of two words."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))
