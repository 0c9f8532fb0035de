"""Checks numbers and texts that harnesses write."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from snakeval.errors import EvaluationError
from snakeval.evaluation.record import Metric


class WrongPlace(EvaluationError):
    """The results are there, and not at the place where the configuration says."""


class NoSuchFile(WrongPlace):
    """No file has the name that the configuration says. The harness may not have written it."""


@dataclass(frozen=True, slots=True)
class Unscored:
    """A metric that the harness reports without a score, and the error that says why."""

    task: str
    metric: str
    filter: str
    error: EvaluationError

    def as_dict(self) -> dict[str, str]:
        """Return the plain data of a record."""
        reason = str(self.error)[:300]
        return {"task": self.task, "metric": self.metric, "filter": self.filter, "reason": reason}


def scored(
    task: str, metric: str, filter_name: str, value: Callable[[], float], **more: Any
) -> Metric | Unscored:
    """Return a metric, or why it has no score: the others of the harness stay."""
    try:
        return Metric(task, metric, value(), filter_name, **more)
    except EvaluationError as error:
        return Unscored(task, metric, filter_name, error)


#: The characters that the harness replaces in the name of the model's directory.
_REPLACED = re.compile(r"[\"<>:/|\\?*\[\]]+")
#: The longest name of a file on Linux, in bytes.
_NAME_BYTES = 255


def refuse_long_name(model: str) -> None:
    """Check that lm-evaluation-harness can name a directory after *model* for its results.

    Raises:
        EvaluationError: the name is too long; the harness would lose its results at the end.
    """
    size = len(_REPLACED.sub("__", model).encode("utf-8", "replace"))
    if size > _NAME_BYTES:
        raise EvaluationError(
            f"the harness names a directory after model_id, whose name would have {size} bytes, "
            f"and {_NAME_BYTES} is the most; serve the model under a shorter name"
        )


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


def standard_error(value: Any) -> float | None:
    """Return a standard error, which is finite and not negative, or None for anything else."""
    found = optional_number(value)
    return found if found is not None and found >= 0 else None


def optional_count(value: Any) -> int | None:
    """Return a number of samples, or None for anything else."""
    found = optional_number(value)
    return int(found) if found is not None and 0 <= found < 2**53 else None


def keys(value: Any, what: str) -> Mapping[str, Any]:
    """Return *value*, which must hold keys and values; one that is absent holds none.

    Raises:
        ValueError: it is something else; the message calls it *what*.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        kind = {list: "a list", str: "a text", bool: "true or false"}.get(type(value), "a number")
        raise ValueError(f"{what} is {kind} and has no keys")
    return value


def facts(value: Any, name: str) -> Mapping[str, Any]:
    """Return the facts about *name* in *value*; none if either has another shape.

    A score is sound without the number of its samples or its direction.
    """
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def described(error: Exception) -> str:
    """Return a reason for an error that the shape of a harness's data caused."""
    if isinstance(error, KeyError):
        return f"it has no key {error.args[0]}"
    if isinstance(error, ValueError):
        return str(error)
    return "a value in it has another shape than those of the harness"


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
