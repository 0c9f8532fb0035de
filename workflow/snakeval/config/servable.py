"""Finds out why snakeval cannot serve a deployment as it is configured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snakeval import catalogue

if TYPE_CHECKING:
    from snakeval.config.models import Deployment


def why_unservable(deployment: Deployment) -> str:
    """Return why snakeval cannot serve a deployment: a missing key, or one its kind lacks."""
    kind, own = deployment.kind, deployment.command is not None
    if deployment.checkpoint_path and deployment.hf_model_handle:
        return "has both checkpoint_path and hf_model_handle; keep one"
    facts = catalogue.server_kind(kind)
    weights = deployment.checkpoint_path or deployment.hf_model_handle
    if problem := _unshareable(deployment, facts, weights or ""):
        return problem
    if facts.needs_weights and not weights and not own and not deployment.is_of_series:
        return f"kind {kind} requires weights; add checkpoint_path or hf_model_handle"
    if facts.needs_image and not deployment.image:
        return f"kind {kind} requires an image, which contains the model; add `image`"
    if not (facts.command or facts.image) and not own and not deployment.image:
        return f"kind {kind} requires a command or an image; add `command`, `image` or both"
    if not facts.has_data_parallel and deployment.data_parallel_size > 1 and not own:
        return f"kind {kind} has no data_parallel_size; remove it"
    split = deployment.tensor_parallel_size * deployment.pipeline_parallel_size
    nodes, sizes = deployment.nodes, split * deployment.data_parallel_size
    if nodes > 1 and deployment.gpus is None and facts.needs_gpus and sizes % nodes:
        return f"{nodes} nodes cannot share the {sizes} GPUs of its sizes equally; set `gpus`"
    if nodes > 1 and not own:
        return (
            f"kind {kind} has no command for several nodes; set `command` as in docs/deployments.md"
        )
    if not facts.has_sizes and split > 1 and not own:
        if not facts.needs_gpus:
            return (
                f"kind {kind} has no tensor_parallel_size and no pipeline_parallel_size; "
                "remove them"
            )
        return (
            f"kind {kind} uses all GPUs that it gets; set `gpus` instead of "
            "tensor_parallel_size and pipeline_parallel_size"
        )
    return ""


def _unshareable(deployment: Deployment, facts: catalogue.ServerKind, weights: str) -> str:
    """Return why one server cannot serve the checkpoints of a series, or nothing."""
    kind = deployment.kind
    adds = bool(deployment.adapter_path or (deployment.is_of_series and weights))
    if deployment.adapter_path and deployment.is_of_series:
        return "has adapter_path, which comes from `checkpoints.pattern`; remove it"
    if deployment.adapter_path and not weights:
        return "has an adapter and no weights; add checkpoint_path or hf_model_handle"
    if adds and not facts.adapter_load:
        return f"kind {kind} loads no adapters; use kind vllm or sglang, or remove its weights"
    if deployment.swap and adds:
        return "has both swap and weights that adapters are added to; remove one"
    if deployment.swap and not facts.swap_env:
        return f"kind {kind} cannot replace its weights; remove swap, or use kind vllm"
    if (deployment.swap or adds) and deployment.instances > 1:
        return "has several instances, but one server serves its checkpoints; set instances: 1"
    return ""
