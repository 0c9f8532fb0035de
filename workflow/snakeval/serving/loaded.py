"""Finds the weights that a server loads, and whether they changed while it loaded them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from snakeval.errors import EvaluationError
from snakeval.serving.deployment import Deployment
from snakeval.serving.shared_start import require_adapter
from snakeval.serving.weights import is_same_by_stat, require_unchanged

#: The variable with the directory of copies of checkpoints on this node.
LOCAL_WEIGHTS = "SNAKEVAL_LOCAL_WEIGHTS"


def weights_of(deployment: Deployment, environ: Mapping[str, str]) -> Path:
    """Return the checkpoint that a server of this machine loads.

    A copy on this node counts if its files have the same sizes and times.

    Raises:
        EvaluationError: its files are not those of the plan.
    """
    place, stat = Path(deployment.serving.checkpoint_path), deployment.serving.weights_stat
    local = environ.get(LOCAL_WEIGHTS, "")
    if local and stat and is_same_by_stat(copy := Path(local) / place.name, stat):
        return copy
    if stat:
        require_unchanged(place, deployment.definition.checkpoint_digest, stat)
    return place


def why_changed(deployment: Deployment, environ: Mapping[str, str]) -> str:
    """Return why a server that has just become ready may have loaded other weights, or nothing.

    A training may overwrite or delete a checkpoint between the start of a server and its last read.
    """
    try:
        if deployment.serving.checkpoint_path:
            weights_of(deployment, environ)
        require_adapter(deployment)
    except EvaluationError as error:
        return f"its weights changed while it loaded them ({error.problem})"
    return ""
