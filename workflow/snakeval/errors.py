"""The errors that people see. Each has a problem, a place and a hint; none is read as a text."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        problem: what is wrong, in half a sentence.
        where: the file and the key, the option or the name that is wrong; empty if the problem
            says it.
        hint: a command or a value that mends it; empty if there is none.
    """

    problem: str
    where: str = ""
    hint: str = ""

    def __str__(self) -> str:
        """Return it on one line: ``where: problem; hint``. The only formatter of errors."""
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.problem}{f'; {self.hint}' if self.hint else ''}"

    def within(self, place: str) -> Problem:
        """Return it with *place*, such as a file, before where it is."""
        return replace(self, where=f"{place}: {self.where}" if self.where else place)

    def under(self, key: str) -> Problem:
        """Return it with *key*, such as a section's name, before the key where it is."""
        return replace(self, where=f"{key}.{self.where}" if self.where else key)


class ConfigError(ValueError):
    """Bad input.

    Attributes:
        problems: all that is wrong, one line each.
    """

    def __init__(self, problem: str, *, where: str = "", hint: str = "") -> None:
        if where or hint:
            self.problems: tuple[Problem, ...] = (Problem(problem, where, hint),)
        else:
            self.problems = tuple(Problem(line) for line in problem.splitlines())
        super().__init__("\n".join(map(str, self.problems)))

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> Self:
        """Return one error for several problems, each named once."""
        found = tuple(dict.fromkeys(problems))
        error = cls("\n".join(map(str, found)))
        error.problems = found
        return error

    def within(self, place: str) -> Self:
        """Return the same error with *place*, such as a file, before where each problem is."""
        return type(self).of(problem.within(place) for problem in self.problems)


class EvaluationError(RuntimeError):
    """One evaluation failed, or something that it needs. The text is one line.

    Attributes:
        problem, where, hint: as of a :class:`Problem`.
    """

    def __init__(self, problem: str, *, where: str = "", hint: str = "") -> None:
        self.problem, self.where, self.hint = (
            " ".join(text.split()) for text in (problem, where, hint)
        )
        super().__init__(str(Problem(self.problem, self.where, self.hint)))


class Interrupted(Exception):
    """The job was told to stop while it waited."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x' or 'y'?"`` for the names closest to *word*, or nothing."""
    close = nearest(word, list(known))
    return f"; {close}" if close else ""


def nearest(word: str, known: Sequence[str]) -> str:
    """Return ``"did you mean 'x' or 'y'?"`` for the names closest to *word*, or nothing."""
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else ""
