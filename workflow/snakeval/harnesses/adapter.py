"""The protocol of a harness adapter, and what it exchanges with the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.record import Metric


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the harness finds things, in its own view.

    Attributes:
        results: the directory it writes to.
        inputs: read-only directory with :attr:`Command.inputs`.
        endpoint_url: the full URL of the model's route, as reachable from the harness.
        auxiliary: the same of each auxiliary model that the benchmark asks, by name.
    """

    results: str
    inputs: str
    endpoint_url: str
    auxiliary: Mapping[str, str] = field(default_factory=dict)


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


@dataclass(frozen=True, slots=True)
class Sample:
    """One item of a benchmark, as a harness logged it. All texts are the model's or the data's.

    Attributes:
        id: the same for every model that was asked the same; several answers to one question
            have one id.
        task, filter: as in :class:`snakeval.evaluation.record.Metric`.
        scores: metric -> its score of this item; NaN where the harness could not score it.
        group: items of one group are not independent, as questions about one text; or empty.
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
    """What a harness counted of its requests; None where it did not."""

    requests: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


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

    def samples(self, evaluation: Evaluation, artifacts: Path) -> Iterator[Sample]:
        """Read the samples one by one; none where the harness logged none.

        Raises:
            EvaluationError: while they are read: they cannot be.
        """

    def usage(self, artifacts: Path) -> Usage:
        """Read what the harness counted of its requests, as far as it is there."""
