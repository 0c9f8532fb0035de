"""Reads metrics and samples of a finished harness, whatever its adapter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from snakeval.errors import EvaluationError
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.record import Metric
from snakeval.harnesses import adapter
from snakeval.harnesses.adapter import Sample


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


def read_samples(directory: EvaluationDirectory) -> Iterator[Sample]:
    """Read one by one what the harness logged of each item of a finished evaluation.

    There may be a million of them: keep what you need.

    Raises:
        EvaluationError: while they are read: the files are gone, or are not what they were.
    """
    evaluation = directory.read_evaluation()
    wanted = evaluation.transport.samples.get("group")
    number = grouped = 0
    try:
        for sample in adapter(evaluation.identity.adapter).samples(evaluation, directory.artifacts):
            number += 1
            grouped += bool(sample.group)
            yield sample
    except OSError as error:
        raise EvaluationError(
            f"samples cannot be read: {error.filename} ({error.strerror})"
        ) from None
    except RecursionError:
        raise EvaluationError("samples are nested too deeply") from None
    if wanted and number and not grouped:
        raise EvaluationError(f"no sample has anything at {wanted!r}; correct samples.group")
