"""Reads metrics and samples of a finished evaluation through its harness adapter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from snakeval.errors import EvaluationError
from snakeval.evaluation import trees
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.record import Completion, Metric
from snakeval.harnesses import adapter, caches_of
from snakeval.harnesses.adapter import Sample
from snakeval.harnesses.values import Unscored


@dataclass(frozen=True, slots=True)
class Read:
    """The scores of an evaluation, and the metrics without one as its record has them."""

    metrics: tuple[Metric, ...]
    unscored: tuple[dict[str, str], ...] = ()


def read_metrics(evaluation: Evaluation, artifacts: Path) -> tuple[Metric, ...]:
    """Read an evaluation's scores with its adapter; see :func:`read_scores`."""
    return read_scores(evaluation, artifacts).metrics


def read_scores(evaluation: Evaluation, artifacts: Path) -> Read:
    """Read an evaluation's scores with its adapter, and which metrics have none.

    Raises:
        EvaluationError: the scores are missing, do not parse, or none is a finite number.
    """
    try:
        found = adapter(evaluation.identity.adapter).metrics(evaluation, artifacts)
    except OSError as error:
        raise EvaluationError(
            f"results cannot be read: {error.filename} ({error.strerror}); see the harness's log"
        ) from None
    except EvaluationError:
        raise
    except Exception as error:  # whatever an adapter of another package raises
        raise EvaluationError(
            f"results cannot be read: {_described(error)}; see the harness's log"
        ) from error
    lost = [each for each in found if isinstance(each, Unscored)]
    metrics = tuple(each for each in found if not isinstance(each, Unscored))
    if not metrics and lost:
        raise lost[0].error
    if not metrics:
        raise EvaluationError("the harness wrote results without a single metric; see its log")
    return Read(metrics, tuple(each.as_dict() for each in lost))


def read_unparsed(evaluation: Evaluation, artifacts: Path) -> tuple[int, int] | None:
    """Return in how many samples the harness found no answer, of how many; None if unknown."""
    try:
        count = getattr(adapter(evaluation.identity.adapter), "unparsed", None)
        return count(evaluation, artifacts) if count is not None else None
    except Exception:  # of another package also; samples that cannot be read say nothing
        return None


def require_unchanged(record: Completion, artifacts: Path) -> None:
    """Check the content of artifacts before they are read again for a record.

    Raises:
        EvaluationError: a file is not the one that the harness wrote.
    """
    try:
        changed = trees.changed(artifacts, record.manifest, caches_of(record.adapter))
    except OSError as error:
        raise EvaluationError(f"{error.filename} cannot be read ({error.strerror})") from None
    if changed:
        raise EvaluationError(f"{artifacts.name}/{changed} has changed since the harness wrote it")


def read_samples(directory: EvaluationDirectory) -> Iterator[Sample]:
    """Yield the samples that the harness of a finished evaluation logged.

    An evaluation may have a million samples, so callers should not keep them all.

    Raises:
        EvaluationError: the iterator raises it if the files are missing or damaged.
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
    except EvaluationError:
        raise
    except UnicodeDecodeError as error:
        raise EvaluationError(
            f"samples cannot be read: byte 0x{error.object[error.start]:02x} is not UTF-8"
        ) from None
    except Exception as error:  # whatever an adapter of another package raises
        raise EvaluationError(f"samples cannot be read: {_described(error)}") from error
    if wanted and number and not grouped:
        raise EvaluationError(f"no sample has a value at {wanted!r}; correct samples.group")


def _described(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else repr(error)[:200]
