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
        gateway: how many requests the harness may have in flight at the ledger's gateway; 0 if it
            asks the endpoints itself. The gateway retries requests, ends late ones, and gives equal
            requests different seeds, so the harness does none of it.
        tokenizer: the model's tokenizer, a directory or a name on a hub; empty if the harness is to
            find it.
        tokenizer_revision: the commit of such a name, or empty.
    """

    results: str
    inputs: str
    endpoint_url: str
    auxiliary: Mapping[str, str] = field(default_factory=dict)
    gateway: int = 0
    tokenizer: str = ""
    tokenizer_revision: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """The command of a harness.

    Attributes:
        argv: the command line.
        env: variables that are not secret.
        secrets: variable of the harness -> variable of the caller that has the value.
        inputs: name -> text of each file for :attr:`Paths.inputs`.
        ports: variables that receive a free port, which no other harness on the machine uses.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()


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


class Adapter(Protocol):
    """The functions and constants of an adapter.

    Attributes:
        PARSER_VERSION: the version of its parser of results.
        RESUMES: optional; patterns of the artifacts that an interrupted harness continues from if
            no ledger keeps its answers. Without it, the harness starts again.
        SCORES: optional; patterns of the artifacts from which ``metrics`` reads. They return first
            from an executor that cannot return all. Without it, all have to return.
        EXACT: optional; whether the harness reads each choice of an answer at its ``index``, and no
            parts of a content. The gateway then takes other answers for failures of the endpoint.
        unparsed: optional; ``unparsed(evaluation, artifacts)`` returns in how many samples no
            filter of the harness found an answer, and of how many it can say so; or None.
    """

    PARSER_VERSION: int

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
