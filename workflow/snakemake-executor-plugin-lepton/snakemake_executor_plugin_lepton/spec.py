"""Writes a job's definition, after a check of the workspace's resources."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import replace

from leptonai.api.v2.types.affinity import LeptonResourceAffinity
from leptonai.api.v2.types.common import LeptonVisibility, Metadata
from leptonai.api.v2.types.deployment import (
    EnvValue,
    EnvVar,
    LeptonContainer,
    LeptonLog,
    MountOptions,
    QueueConfig,
)
from leptonai.api.v2.types.deployment import Mount as ApiMount
from leptonai.api.v2.types.job import LeptonJob, LeptonJobUserSpec
from leptonai.api.v2.types.shape import Shape

from snakemake_executor_plugin_lepton.errors import TaskError
from snakemake_executor_plugin_lepton.options import Mount
from snakemake_executor_plugin_lepton.service import Service
from snakemake_executor_plugin_lepton.shapes import is_offered
from snakemake_executor_plugin_lepton.task import Needs, Task
from snakemake_executor_plugin_lepton.transport import Shipment

#: Three days, in which the next head can collect a finished job.
TTL_SECONDS = 72 * 3600


class Workspace:
    """The resources of the workspace, which are read once and only if a job names them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._shapes: dict[str | None, list[Shape]] = {}  #: by the node group's id
        self._secrets: frozenset[str] = frozenset()

    @functools.cached_property
    def _groups(self) -> dict[str, tuple[str, frozenset[str]]]:
        return self._service.node_groups()

    def node_group(self, name: str) -> str:
        """Return the id of the node group with that name or id."""
        ids = {identity for identity, _ in self._groups.values()}
        if name in self._groups:
            return self._groups[name][0]
        if name in ids:
            return name
        raise TaskError(f"there is no node group {name!r}; there are: {_listed(self._groups)}")

    def check_mounts(self, mounts: Iterable[Mount], group: str | None) -> None:
        """Check that the node group has these volumes; without a group, that any group has them."""
        sources = {
            source
            for identity, volumes in self._groups.values()
            if group in (None, identity)
            for source in (*volumes, "node-local")
        }
        for mount in mounts:
            if mount.source not in sources:
                raise TaskError(
                    f"there is no volume {mount.source!r} to mount at {mount.mount_path}; there "
                    f"are: {_listed(sources)}"
                )

    def check_secrets(self, names: Iterable[str]) -> None:
        """Check that the workspace has these secrets. The user may create one during the run."""
        wanted = tuple(names)
        if not self._secrets.issuperset(wanted):
            self._secrets = self._service.secrets()
        for name in wanted:
            if name not in self._secrets:
                raise TaskError(
                    f"there is no secret {name!r} in the workspace; create it: "
                    f"`lep secret create -n {name} -v …`"
                )

    def shape(self, wanted: str | None, needs: Needs, group: str | None) -> str:
        """Return the shape of that name, or the smallest one that fits the job."""
        if group not in self._shapes:
            self._shapes[group] = self._service.shapes(group)
        shapes = self._shapes[group]
        named = {name for s in shapes for name in (s.metadata.id_, s.metadata.name, s.spec.name)}
        if wanted:
            # The service has their names in lower case.
            if wanted.lower() not in {str(name).lower() for name in named if name}:
                raise TaskError(
                    f"there is no resource shape {wanted!r}; there are: "
                    f"{_listed(str(s.metadata.id_ or s.spec.name) for s in shapes)}"
                )
            return wanted.lower()
        fitting = [s for s in shapes if _fits(s, needs, group)]
        if not fitting:
            raise TaskError(
                f"no resource shape has {needs.gpu} GPUs"
                + (f" of {needs.gpu_model}" if needs.gpu_model else "")
                + f", {needs.threads} CPUs and {needs.mem_mb} MB; there are: "
                + _listed(str(s.metadata.id_ or s.spec.name) for s in shapes)
            )
        best = min(fitting, key=_size)
        return str(best.metadata.id_ or best.spec.name).lower()

    def check_shared_memory(self, wanted: int | None, shape: str, group: str | None) -> None:
        """Check that a job's shared memory is within the memory of its shape."""
        for each in self._shapes.get(group, []):
            memory = each.spec.memory_in_mb
            if shape == str(each.metadata.id_ or each.spec.name).lower() and memory:
                if wanted and wanted > memory:
                    raise TaskError(
                        f"lepton_shared_memory_mb is {wanted}, and {shape} has {memory} MB of "
                        "memory; lower it, or choose a larger lepton_resource_shape"
                    )
                return


def _fits(shape: Shape, needs: Needs, group: str | None) -> bool:
    spec = shape.spec
    model = (needs.gpu_model or "").lower()
    return (
        is_offered(spec, "job", needs.gpu, group)
        and (spec.cpu or 0) >= needs.threads
        and (spec.memory_in_mb or 0) >= needs.mem_mb
        and (not model or model in (spec.accelerator_type or "").lower())
    )


def _size(shape: Shape) -> tuple[float, float, int]:
    spec = shape.spec
    return (spec.accelerator_num or 0, spec.cpu or 0, spec.memory_in_mb or 0)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def definition(
    task: Task,
    *,
    name: str,
    labels: dict[str, str],
    script: str,
    shipment: Shipment,
    workspace: Workspace,
    pull_secrets: tuple[str, ...] = (),
) -> LeptonJob:
    """Return the job's definition for the service.

    Raises:
        TaskError: the task names something that the workspace does not have.
    """
    group = workspace.node_group(task.node_group) if task.node_group else None
    mounts = (*task.mounts, *shipment.mounts)
    if mounts:
        workspace.check_mounts(mounts, group)
    if task.secrets:
        workspace.check_secrets(task.secrets.values())
    # Shared memory is part of the shape's memory.
    needs = replace(task.needs, mem_mb=max(task.needs.mem_mb, task.shared_memory_mb or 0))
    shape = workspace.shape(task.shape, needs, group)
    workspace.check_shared_memory(task.shared_memory_mb, shape, group)
    spec = LeptonJobUserSpec(
        resource_shape=shape,
        # The group rather than its nodes: a node that is added later is just as good.
        affinity=LeptonResourceAffinity(allowed_dedicated_node_groups=[group]) if group else None,
        container=LeptonContainer(image=task.image, command=["/bin/sh", "-c", script]),
        shared_memory_size=task.shared_memory_mb,
        completions=1,
        parallelism=1,
        # Snakemake's --retries decides. The platform itself requeues the jobs that it preempts.
        max_failure_retry=0,
        max_job_failure_retry=0,
        envs=[
            *(EnvVar(name=n, value=v) for n, v in {**task.env, **shipment.env}.items()),
            *(
                EnvVar(name=n, value_from=EnvValue(secret_name_ref=secret))
                for n, secret in task.secrets.items()
            ),
        ],
        mounts=[_api(mount) for mount in dict.fromkeys(mounts)],
        image_pull_secrets=list(pull_secrets),
        ttl_seconds_after_finished=TTL_SECONDS,
        log=LeptonLog(enable_collection=True),
        queue_config=QueueConfig(priority_class=task.priority) if task.priority else None,
    )
    metadata = Metadata(name=name, labels=labels, visibility=LeptonVisibility.PRIVATE)
    return LeptonJob(metadata=metadata, spec=spec)


def _api(mount: Mount) -> ApiMount:
    options = MountOptions(read_only=True) if mount.read_only else None
    # The SDK's field has an alias, because its name is a Python keyword.
    return ApiMount(
        **{"from": mount.source},
        path=mount.path,
        mount_path=mount.mount_path,
        mount_options=options,
    )
