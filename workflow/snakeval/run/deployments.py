"""What the files of a run, and its pool, say of its evaluations; read for a whole run at once.

``status`` looks at ten thousand evaluations in a second. So paths are texts here, and records are
the JSON that they are; :class:`snakeval.evaluation.directory.EvaluationDirectory` has the same
as objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.files import read_json

# --- deployments ------------------------------------------------------------------------------


def deployments(run: Path) -> set[str]:
    """Return the names of what *run* serves: models, and auxiliary ones."""
    return {path.stem for path in run.glob(".snakeval/deployments/*.json")}


def deployed(run: Path) -> Iterator[tuple[str, str]]:
    """Yield each deployment of *run* with each evaluation that asks it."""
    for path in sorted(run.glob(".snakeval/deployments/*.json")):
        try:
            evaluations: Sequence[Sequence[str]] = (read_json(str(path)) or {})["evaluations"]
            yield from ((path.stem, evaluation) for evaluation, _ in evaluations)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # the next start writes it anew


def undeployed(run: Path) -> dict[str, str]:
    """Return why the model of an evaluation could not be deployed, so that it never starts."""
    reasons: dict[str, str] = {}
    found: dict[str, str] = {}
    for name, evaluation in deployed(run):
        if name not in reasons:
            reasons[name] = EvaluationDirectory(run / name / "deployment").failure_reason()
        if reasons[name]:
            found[evaluation] = reasons[name]
    return found
