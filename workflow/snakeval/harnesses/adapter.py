"""Defines the protocol of a harness adapter and the values that it exchanges with snakeval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.record import Metric
from snakeval.harnesses.values import Unscored


@dataclass(frozen=True, slots=True)
class Paths:
    """The paths and URLs of an evaluation, as the harness sees them.

    Attributes:
        results: the directory to which the harness writes.
        inputs: the read-only directory with :attr:`Command.inputs`.
        endpoint_url: the full URL of the model's route, as the harness reaches it.
        auxiliary: name -> the full URL of each auxiliary model that the benchmark queries.
    """

    results: str
    inputs: str
    endpoint_url: str
    auxiliary: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Command:
    """The command of a harness.

    Attributes:
        argv: the command line.
        env: variables that are not secret.
        secrets: variable of the harness -> variable of the caller that has the value.
        inputs: name -> text of each file for :attr:`Paths.inputs`.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """One item of a benchmark, as a harness logged it. All texts are the model's or the data's.

    Attributes:
        id: identifies the question, equally for every model; several answers to one question share
            it.
        task, filter: as in :class:`snakeval.evaluation.record.Metric`.
        scores: metric -> score of this item; NaN if the harness could not score it.
        group: the same for items that depend on each other, as questions about one text; or empty.
    """

    id: str
    task: str
    scores: Mapping[str, float]
    filter: str = ""
    question: str = ""
    answer: str = ""
    reference: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """A harness's own counts of its requests; None for each that it did not count."""

    requests: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Adapter(Protocol):
    """The functions and constants of an adapter.

    Attributes:
        PARSER_VERSION: the version of its parser of results.
        CACHES: patterns of the artifacts from which a harness resumes. They are no results.
        RESUMES: optional; patterns of all artifacts that an interrupted harness continues from, if
            these are more than ``CACHES``.
        SCORES: optional; patterns of the artifacts from which ``metrics`` reads. They return first
            from an executor that cannot return all. Without it, all have to return.
    """

    PARSER_VERSION: int
    CACHES: tuple[str, ...]

    def command(self, evaluation: Evaluation, paths: Paths) -> Command:
        """Return the command line of *evaluation*."""

    def metrics(self, evaluation: Evaluation, artifacts: Path) -> tuple[Metric | Unscored, ...]:
        """Read the scores.

        Raises:
            EvaluationError: there are no results, or they cannot be read.
        """

    def samples(self, evaluation: Evaluation, artifacts: Path) -> Iterator[Sample]:
        """Yield the samples, if the harness logged any.

        Raises:
            EvaluationError: the iterator raises it if a sample cannot be read.
        """

    def usage(self, artifacts: Path) -> Usage:
        """Read the harness's own counts of requests; a missing count is None."""
