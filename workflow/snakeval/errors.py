"""The two kinds of errors that people see: bad input, and an evaluation that failed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """Bad input. The message is one sentence a line, each naming the file, the key and the fix."""


class EvaluationError(RuntimeError):
    """One evaluation failed. The message is the reason that people see, in one line."""

    def __init__(self, reason: str) -> None:
        super().__init__(" ".join(reason.split()))


class Interrupted(Exception):
    """Whoever waits was told to stop."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x' or 'y'?"`` for the names closest to *word*, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(c) for c in close)}?" if close else ""
