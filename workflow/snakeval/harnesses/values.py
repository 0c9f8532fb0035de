"""Checks numbers and texts that harnesses write."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

from snakeval.errors import EvaluationError


class WrongPlace(EvaluationError):
    """The results are there, and not at the place where the configuration says."""


class NoSuchFile(WrongPlace):
    """No file has the name that the configuration says. The harness may not have written it."""


def number(value: Any, what: str) -> float:
    """Return *value* as a finite float.

    Raises:
        WrongPlace: *value* is no number; the message calls it *what*.
        EvaluationError: *value* is not a finite number; the message calls it *what*.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise WrongPlace(f"{what} is {value!r}, not a number; see the harness's log")
    score = _float(value)
    if not math.isfinite(score):
        raise EvaluationError(f"{what} is {score}; the harness could not score the answers")
    return score


def optional_number(value: Any) -> float | None:
    """Return a finite number, or None for anything else (harnesses write ``"N/A"``)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return found if math.isfinite(found := _float(value)) else None


def optional_count(value: Any) -> int | None:
    """Return a number of samples, or None for anything else."""
    found = optional_number(value)
    return int(found) if found is not None and 0 <= found < 2**53 else None


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # integers of JSON and YAML may have any length
        return math.inf


def finder(path: str) -> Callable[[Any], Any]:
    """Return a function that finds a JMESPath in an item; a plain key takes a faster way."""
    if not re.fullmatch(r"[A-Za-z_]\w*", path, re.ASCII):
        import jmespath

        found: Callable[[Any], Any] = jmespath.compile(path).search
        return found
    return lambda item: item.get(path) if isinstance(item, dict) else None


def score(value: object) -> float | None:
    """Return an item's score: a number (also NaN) or a boolean; None for anything else."""
    return _float(value) if isinstance(value, (bool, int, float)) else None


def text(value: object) -> str:
    """Return a part of a sample as readable text: a text unchanged, and other data as JSON.

    Half a surrogate, which JSON can express and UTF-8 cannot, becomes a question mark.
    """
    if value is None:
        return ""
    found = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return found if found.isascii() else found.encode("utf-8", "replace").decode()
