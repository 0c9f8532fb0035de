"""Deployments of checkpoints that share a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snakeval.config import models
from snakeval.serving import weights
from snakeval.serving.deployment import Deployment
from snakeval.serving.resolve import Resolved, resolve
from snakeval.serving.unswapped import rest_of


def swapped(path: Path, **spec: Any) -> Deployment:
    """A checkpoint whose weights replace those of the one before."""
    given = {
        "kind": "vllm",
        "checkpoint_path": str(path),
        "swap": True,
        "served_model_name": "base",
    }
    found = Resolved(
        checkpoint_digest=weights.weigh(path, say=lambda line: None),
        weights_stat=weights.by_stat(weights.files_of(path)),
        rest=rest_of(path),
    )
    return resolve(path.name, models.Deployment(**given | spec), "host", resolved=found)


def added(path: Path, **spec: Any) -> Deployment:
    """An adapter that is added to the weights of a server."""
    given = {
        "kind": "vllm",
        "hf_model_handle": "org/base",
        "adapter_path": str(path),
        "served_model_name": "base",
    }
    found = Resolved(
        adapter_digest=weights.weigh(path, say=lambda line: None),
        adapter_stat=weights.by_stat(weights.files_of(path)),
        rank=8,
    )
    return resolve(path.name, models.Deployment(**given | spec), "host", resolved=found)
