"""Harness adapters: the command line of a harness, and how to read what it wrote.

An adapter is a module with these names; a new one is a module here and a line in
:data:`ADAPTERS`. Raise its ``PARSER_VERSION`` when it reads results better: tables are then made
again from the raw results, and nothing is evaluated again.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from snakeval.completion import Metric
from snakeval.errors import EvaluationError
from snakeval.evaluation import Evaluation


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the harness finds things, in its own view.

    Attributes:
        results: the directory it writes to.
        inputs: read-only directory with :attr:`Command.inputs`.
        endpoint_url: the full URL of the model's route, as reachable from the harness.
    """

    results: str
    inputs: str
    endpoint_url: str


@dataclass(frozen=True, slots=True)
class Command:
    """What to start.

    Attributes:
        env: variables that anybody may see.
        secrets: variable inside -> variable of the caller that holds its value.
        inputs: names and texts of files for :attr:`Paths.inputs`.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)


class Adapter(Protocol):
    """The names that an adapter module has. ``CACHES``: patterns of artifacts to resume from."""

    PARSER_VERSION: int
    CACHES: tuple[str, ...]

    def command(self, evaluation: Evaluation, paths: Paths) -> Command:
        """Return the command line of *evaluation*."""

    def metrics(self, evaluation: Evaluation, artifacts: Path) -> tuple[Metric, ...]:
        """Read the scores.

        Raises:
            EvaluationError: there are no results, or they cannot be read.
        """


ADAPTERS = {
    "lm-eval": "snakeval.harnesses.lm_eval",
    "nemo": "snakeval.harnesses.nemo",
    "generic": "snakeval.harnesses.generic",
}


def adapter(name: str) -> Adapter:
    """Return the adapter *name*."""
    return cast(Adapter, importlib.import_module(ADAPTERS[name]))


def parser_versions() -> dict[str, int]:
    """The version of each adapter's parser: a table is as good as these."""
    return {name: adapter(name).PARSER_VERSION for name in ADAPTERS}


def number(value: Any, what: str) -> float:
    """Return *value* as a finite float.

    Raises:
        EvaluationError: it is none; *what* names it in the message.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise EvaluationError(f"{what} is {value!r}, not a number; see the harness's log")
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
    except OverflowError:  # JSON and YAML know integers of any length
        return math.inf


def read_metrics(evaluation: Evaluation, artifacts: Path) -> tuple[Metric, ...]:
    """Read an evaluation's scores with its adapter.

    Raises:
        EvaluationError: none are there, they do not parse, or one is not a finite number.
    """
    try:
        found = adapter(evaluation.identity.adapter).metrics(evaluation, artifacts)
    except OSError as error:
        raise EvaluationError(
            f"results cannot be read: {error.filename} ({error.strerror}); see the harness's log"
        ) from None
    except RecursionError:
        raise EvaluationError("results are nested too deeply; see the harness's log") from None
    if not found:
        raise EvaluationError("the harness wrote results without a single metric; see its log")
    return found
