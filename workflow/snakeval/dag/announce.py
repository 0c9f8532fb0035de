"""Sentences for the person who plans or starts a run."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.record import Completion


def changes_since(record: Path, evaluation: Evaluation) -> str:
    """Say which parts of the definition changed since *record*."""
    try:
        before = Completion.from_json(record.read_text(encoding="utf-8")).identity
    except (OSError, ValueError):
        return "its record cannot be read"
    return "; ".join(evaluation.identity.changes(before)) or "its artifacts are gone"


def hours_text(hours: float) -> str:
    """Format hours for a person."""
    return f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.0f} min"


def names_of_members(ids: Collection[str], model: str, most: int = 12) -> list[str]:
    """List evaluations of a model, at most *most* of them."""
    names = [id.removeprefix(f"{model}/") for id in ids]
    return names if len(names) <= most else [*names[:most], f"{len(names) - most} more"]
