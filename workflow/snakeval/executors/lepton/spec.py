"""A deployment as an endpoint of Lepton: the same definition as everywhere, in its words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from leptonai.api.v2.types.affinity import LeptonResourceAffinity
from leptonai.api.v2.types.deployment import (
    AutoScaler,
    AutoscalerTargetThroughput,
    ContainerPort,
    EnvValue,
    EnvVar,
    HealthCheck,
    HealthCheckLiveness,
    HealthCheckTCP,
    LeptonContainer,
    LeptonDeploymentUserSpec,
    Mount,
    MountOptions,
    QueueConfig,
    ReservationConfig,
    ResourceRequirement,
    ScaleDown,
)

from snakeval.config.lepton import LeptonEndpoint
from snakeval.errors import EvaluationError
from snakeval.evaluation.definition import digest
from snakeval.executors.lepton import shapes
from snakeval.executors.lepton.api import Platform
from snakeval.executors.lepton.runtime import LeptonRuntime
from snakeval.runtimes.spec import ContainerSpec
from snakeval.serving.container import container
from snakeval.serving.deployment import MARK, Deployment

#: The variable of an endpoint that contains the digest of its definition.
SPEC = "SNAKEVAL_SPEC"
_PORT = 8000


def options(deployment: Deployment) -> LeptonEndpoint:
    """Return the options; the number of instances is the default of `min_replicas`."""
    said = dict(deployment.serving.lepton)
    return LeptonEndpoint.model_validate({"min_replicas": deployment.serving.instances, **said})


def specification(
    platform: Platform, deployment: Deployment, node_group: str = ""
) -> LeptonDeploymentUserSpec:
    """Return the definition of the endpoint, without its key; the first variable has its digest.

    *node_group* is the one of the run's jobs, for a deployment that names none.

    Raises:
        EvaluationError: it cannot be an endpoint, or names what the workspace does not have.
    """
    asked, serving = options(deployment), deployment.serving
    port = serving.port or _PORT
    gpus = len(serving.gpu_ids) or serving.gpus
    made = _container(deployment, port, gpus)
    named = asked.node_group or node_group
    group = platform.node_group(named) if named else None
    mounts = [_mount(text) for text in asked.mounts]
    if mounts:
        platform.check_volumes([mount.from_ for mount in mounts], group)
    shape = platform.shape(asked.resource_shape, gpus, group)
    # Neither the pool's mark, which is of this machine, nor paths of a cache that it mounts.
    env = {k: v for k, v in made.env.items() if k != MARK and not v.startswith("/cache")}
    spec = LeptonDeploymentUserSpec(
        container=LeptonContainer(
            image=made.image,
            command=list(made.argv) or None,
            ports=[ContainerPort(container_port=port)],
        ),
        resource_requirement=ResourceRequirement(
            resource_shape=shapes.name_of(shape),
            min_replicas=asked.min_replicas,
            max_replicas=asked.max_replicas or asked.min_replicas,
            shared_memory_size=shapes.shared_memory(shape, serving.shm_mb),
            affinity=LeptonResourceAffinity(allowed_dedicated_node_groups=[group])
            if group
            else None,
        ),
        auto_scaler=AutoScaler(
            scale_down=ScaleDown(no_traffic_timeout=asked.no_traffic_timeout)
            if asked.no_traffic_timeout
            else None,
            target_gpu_utilization_percentage=asked.target_gpu_utilization,
            target_throughput=AutoscalerTargetThroughput(qpm=asked.target_qpm)
            if asked.target_qpm
            else None,
        ),
        envs=[
            *(EnvVar(name=n, value=v) for n, v in env.items()),
            *(
                EnvVar(name=n, value_from=EnvValue(secret_name_ref=s))
                for n, s in _secrets(platform, deployment, made.secrets).items()
            ),
        ],
        mounts=mounts,
        image_pull_secrets=list(asked.image_pull_secrets),
        ingress_timeout_seconds=asked.request_timeout,
        **_site(asked, port),
    )
    spec.envs.insert(0, EnvVar(name=SPEC, value=digest(spec.model_dump())))
    return spec


def _site(asked: LeptonEndpoint, port: int) -> dict[str, Any]:
    """Return the parts of the definition that only some sites need."""
    parts: dict[str, Any] = {}
    queue = {
        "priority_class": asked.priority,
        "can_be_preempted": asked.can_be_preempted or None,
        "can_preempt": asked.can_preempt or None,
    }
    if any(value is not None for value in queue.values()):
        parts["queue_config"] = QueueConfig(**queue)
    if asked.reservation:
        parts["reservation_config"] = ReservationConfig(reservation_id=asked.reservation)
    if asked.liveness_delay:
        delay = HealthCheckLiveness(
            initial_delay_seconds=asked.liveness_delay, tcp=HealthCheckTCP(port=port)
        )
        parts["health"] = HealthCheck(liveness=delay)
    return parts


def _container(deployment: Deployment, port: int, gpus: int) -> ContainerSpec:
    """Return the container of a replica.

    Raises:
        EvaluationError: a replica cannot run it.
    """
    serving = deployment.serving
    if serving.checkpoint_path or serving.mounts:
        raise EvaluationError(
            "checkpoint_path and mounts are of this machine; on Lepton use hf_model_handle, "
            "or put the weights on a volume and name it in deployment.lepton.mounts"
        )
    if serving.nodes > 1:
        raise EvaluationError("on Lepton a replica has one node; take `nodes` out")
    # It is reached from outside.
    bridged = replace(deployment, serving=replace(serving, network="bridge"))
    made = container(bridged, LeptonRuntime(), port, [str(n) for n in range(gpus)])
    if not made.image:
        raise EvaluationError("Lepton runs containers; add `image` to the deployment")
    if made.entry_point and made.argv:
        raise EvaluationError("extra_args need a `command` on Lepton; add it")
    return made


def _secrets(
    platform: Platform, deployment: Deployment, named: Mapping[str, str]
) -> dict[str, str]:
    """Return variable -> secret; what only a kind of server would like may be absent."""
    there = platform.secrets()
    for inside, secret in named.items():
        if secret not in there and inside in deployment.serving.env:
            raise EvaluationError(
                f"no secret {secret} in the workspace; `lep secret create -n {secret} -v …`"
            )
    return {inside: secret for inside, secret in named.items() if secret in there}


def _mount(text: str) -> Mount:
    volume, equals, target = text.partition("=")
    target, colon, mode = target.partition(":")
    source, _, path = volume.partition("/")
    if not equals or not target.startswith("/") or (colon and mode != "ro"):
        raise EvaluationError(
            f"deployment.lepton.mounts: {text!r} is not SOURCE[/sub/path]=/mount/path[:ro]"
        )
    limits = MountOptions(read_only=True) if colon else None
    return Mount(
        **{"from": source}, path="/" + path.strip("/"), mount_path=target, mount_options=limits
    )
