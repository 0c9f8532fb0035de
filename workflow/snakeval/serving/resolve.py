"""Resolves a deployment: defaults of its kind, pins of the run, digests of its weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

from snakeval import catalogue
from snakeval.config import models
from snakeval.config.endpoints import EndpointType
from snakeval.evaluation.canonical import canonical_template
from snakeval.run.pins import Pin, key_of
from snakeval.serving.container import rendered_for_identity, variables_for_identity
from snakeval.serving.deployment import ADAPTER, SWAP, Definition, Deployment, Loading, Serving

#: How many digits of an adapter's digest are in its name.
_DIGITS = 12


def image_of(spec: models.Deployment) -> tuple[str, str]:
    """Return the key of a deployment's image in the run's pins, and the image."""
    return (
        key_of(spec.image, f"deployment {spec.kind}"),
        spec.image or catalogue.server_kind(spec.kind).image,
    )


@dataclass(frozen=True, slots=True)
class Resolved:
    """Facts about a deployment that its configuration does not contain.

    Attributes:
        image: the run's pin of its image; None if there is none.
        revision: the run's pin of its model's commit on the hub, or empty.
        checkpoint_digest, weights_stat: of weights on this machine, or empty.
        adapter_digest, adapter_stat: of a LoRA adapter, or empty.
        rank: of the adapter.
        rest: digest of what a swap of the weights does not replace, or empty.
    """

    image: Pin | None = None
    revision: str = ""
    checkpoint_digest: str = ""
    weights_stat: str = ""
    adapter_digest: str = ""
    adapter_stat: str = ""
    rank: int = 0
    rest: str = ""


def resolve(
    name: str,
    spec: models.Deployment,
    network: str,
    runtime: str = "auto",
    resolved: Resolved = Resolved(),
) -> Deployment:
    """Return the deployment of the model *name*, with the defaults of its kind.

    *network* and *runtime* are the run's.
    """
    kind = catalogue.server_kind(spec.kind)
    made = Deployment(
        _definition(name, spec, kind, resolved),
        _serving(spec, kind, network, runtime, resolved),
    )
    if loading := _loading(name, spec, resolved):
        made = replace(made, serving=replace(made.serving, loading=loading))
    definition = made.definition
    runs = (
        canonical_template(spec.command)
        if spec.command
        else rendered_for_identity(made, definition.command)
    )
    variables = variables_for_identity(made, kind)
    return replace(made, definition=replace(definition, runs=runs, variables=variables))


def _definition(
    name: str, spec: models.Deployment, kind: catalogue.ServerKind, resolved: Resolved
) -> Definition:
    """Return the part that determines scores, without what its command renders to."""
    paths = spec.endpoints
    route = {
        EndpointType.COMPLETIONS: paths.completions or kind.routes["completions"],
        EndpointType.EMBEDDING: paths.embeddings or kind.routes["embedding"],
    }.get(spec.type, paths.chat or kind.routes["chat"])
    pin = resolved.image or Pin(spec.image or kind.image)
    return Definition(
        kind=spec.kind,
        image=pin.name,
        image_digest=pin.digest,
        revision=resolved.revision,
        command=spec.command or ("" if spec.image and not kind.command else kind.command),
        model=spec.hf_model_handle or "",
        checkpoint_digest=resolved.checkpoint_digest,
        served_model_name=_served_name(name, spec, resolved.adapter_digest),
        adapter_digest=resolved.adapter_digest,
        endpoint_type=spec.type.value,
        path=route,
        set_env=spec.set_env,
        extra_args=spec.extra_args,
    )


def _served_name(name: str, spec: models.Deployment, adapter_digest: str = "") -> str:
    """Return the name that requests have; of an adapter, with a part of its digest.

    Equal adapters have equal names, whatever their steps, so their evaluations are equal. Different
    ones have different names, so a server never keeps an old adapter under the name of a new one.
    """
    own = spec.served_model_name or spec.hf_model_handle or name
    digits = adapter_digest.rpartition(":")[2][:_DIGITS]
    return f"{own}-{digits}" if digits else own


def _loading(name: str, spec: models.Deployment, resolved: Resolved) -> Loading | None:
    """Return how a server serves other checkpoints as well, if it does."""
    if spec.adapter_path:
        return Loading(
            ADAPTER,
            path=spec.adapter_path,
            stat=resolved.adapter_stat,
            base=_served_name(name, spec),
            rank=resolved.rank,
        )
    return Loading(SWAP, rest=resolved.rest) if spec.swap else None


def _serving(
    spec: models.Deployment,
    kind: catalogue.ServerKind,
    network: str,
    runtime: str,
    resolved: Resolved,
) -> Serving:
    """Return how the server starts here."""
    paths = spec.endpoints
    sizes = spec.tensor_parallel_size * spec.pipeline_parallel_size * spec.data_parallel_size
    gpu_ids = tuple(map(str, spec.gpus)) if isinstance(spec.gpus, tuple) else ()
    gpus = len(gpu_ids) if gpu_ids or not kind.needs_gpus else sizes // spec.nodes
    return Serving(
        checkpoint_path=spec.checkpoint_path or "",
        weights_stat=resolved.weights_stat,
        models_path=paths.models,
        health_path=paths.health or kind.health,
        port=spec.port or 0,
        gpus=spec.gpus if isinstance(spec.gpus, int) else gpus,
        gpu_ids=gpu_ids,
        tensor_parallel_size=spec.tensor_parallel_size,
        pipeline_parallel_size=spec.pipeline_parallel_size,
        data_parallel_size=spec.data_parallel_size,
        mounts=tuple((m.source, m.target, m.read_only) for m in spec.mounts),
        env=spec.env,
        shm_mb=spec.shm_mb or kind.shm_mb,
        mem_mb=spec.mem_mb,
        readiness_timeout=spec.readiness_timeout,
        idle_timeout=spec.idle_timeout,
        max_restarts=spec.max_restarts,
        runtime=spec.runtime or runtime,
        network=network,
        nodes=spec.nodes,
        instances=spec.instances,
        lepton=spec.lepton.model_dump(exclude_defaults=True),
        executors={
            name: section.model_dump(mode="json", exclude_unset=True)
            for name, section in spec.installed.items()
        },
    )
