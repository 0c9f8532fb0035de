"""Starts a server that serves the checkpoints of a series: its options, variables and files."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from snakeval import catalogue
from snakeval.errors import EvaluationError
from snakeval.serving.deployment import ADAPTER, Deployment
from snakeval.serving.weights import require_unchanged
from snakeval.shell import render


def options(deployment: Deployment, kind: catalogue.ServerKind) -> str:
    """Return the options by which a server loads an adapter, and others later."""
    loading = deployment.serving.loading
    if loading is None or loading.how != ADAPTER:
        return ""
    name = deployment.definition.served_model_name
    values = {"rank": loading.rank, "name": name, "path": loading.path}
    what = f"the options for adapters of kind {deployment.definition.kind}"
    words = shlex.split(render(f"{kind.adapter_options} {kind.adapter_option}", values, what))
    given = {word.partition("=")[0] for word in shlex.split(deployment.definition.extra_args)}
    return "".join(f" {shlex.join(option)}" for option in _options(words) if option[0] not in given)


def _options(words: Sequence[str]) -> list[list[str]]:
    """Return each option of a command line with its values."""
    found: list[list[str]] = []
    for word in words:
        if word.startswith("--"):
            found.append([])
        found[-1].append(word)
    return found


def variables(deployment: Deployment, kind: catalogue.ServerKind) -> Mapping[str, str]:
    """Return the variables of a server that serves several checkpoints."""
    loading = deployment.serving.loading
    if loading is None:
        return {}
    return kind.adapter_env if loading.how == ADAPTER else kind.swap_env


def require_adapter(deployment: Deployment) -> None:
    """Check that the adapter is the one of the plan.

    Raises:
        EvaluationError: its files are different, or gone.
    """
    loading = deployment.serving.loading
    if loading is not None and loading.how == ADAPTER and loading.stat:
        digest = deployment.definition.adapter_digest
        require_unchanged(Path(loading.path), digest, loading.stat)


def require_weights(deployment: Deployment) -> None:
    """Look at the files before a server does: an absent path ends an engine.

    Raises:
        EvaluationError: the weights are gone, or changed since the plan.
    """
    path, loading = Path(deployment.weights_path), deployment.serving.loading
    if not path.exists():
        raise EvaluationError(f"gone: {path} is not there any more")
    stat = (loading.stat if loading else "") or deployment.serving.weights_stat
    if stat:
        require_unchanged(path, deployment.weights, stat)
