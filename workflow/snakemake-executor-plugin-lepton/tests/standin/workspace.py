"""The workspace: what there is in it, and how long things take."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from standin.endpoints import Endpoints
from standin.jobs import Jobs
from standin.runner import CannotStartError, Container, Runner

MB = 1024
SHAPES = (
    # id, CPUs, MB, GPU, GPUs
    ("cpu.small", 2, 8 * MB, "", 0),
    ("cpu.large", 16, 64 * MB, "", 0),
    ("gpu.1xh100-sxm", 24, 200 * MB, "H100-SXM", 1),
    ("gpu.8xh100-sxm", 192, 1600 * MB, "H100-SXM", 8),
)


class Workspace:
    """State of a workspace; its attributes may be set while it runs."""

    def __init__(self, runner: Runner, directory: Path | None = None) -> None:
        self.id = "standin"
        self.token = "standin-token-0123456789"
        self.runner = runner
        self.directory = directory or Path(tempfile.mkdtemp(prefix="lepton-standin-"))
        self.capacity = 8  #: jobs that run at once
        self.ttl_scale = 1.0  #: seconds here for one second of a TTL or of an idle time-out
        self.stop_grace = 10.0
        self.page_cap = 500  #: jobs in a list, whatever a client asks for
        self.state = "normal"
        self.new_endpoints = False
        self.vocabulary = "container"  #: of events: why containers wait, or as the kubelet has it
        self.secure_defaults = False
        self.secrets: dict[str, str] = {}
        self.private_secrets: set[str] = set()
        self.node_groups = {"ng-0a1b2c": "h100", "ng-3d4e5f": "cpu"}  #: id -> name
        self.volumes = ("shared",)
        self.jobs = Jobs(self)
        self.endpoints = Endpoints(self)

    def volume(self, source: str) -> Path:
        """Return the directory that stands for a volume."""
        place = self.directory / "volumes" / source.replace(":", "-")
        place.mkdir(parents=True, exist_ok=True)
        return place

    def container(
        self, spec: dict[str, Any], container: dict[str, Any], extra: dict[str, str],
        port: int | None = None,
    ) -> Container:  # fmt: skip
        """Return the container of a job or a replica."""
        env = dict(extra)
        for var in spec.get("envs") or []:
            reference = (var.get("value_from") or {}).get("secret_name_ref")
            if reference and reference not in self.secrets:
                raise CannotStartError("CreateContainerConfigError", f"no secret {reference}")
            env[var["name"]] = self.secrets[reference] if reference else str(var.get("value") or "")
        mounts = []
        for mount in spec.get("mounts") or []:
            if mount["from"] not in ("node-local", *(f"node-nfs:{name}" for name in self.volumes)):
                raise CannotStartError("FailedMount", mount["from"])
            place = self.volume(mount["from"]) / str(mount.get("path") or "").strip("/")
            place.mkdir(parents=True, exist_ok=True)
            read_only = bool((mount.get("mount_options") or {}).get("read_only"))
            mounts.append((place, str(mount["mount_path"]), read_only))
        command = [str(word) for word in container.get("command") or []]
        return Container(str(container.get("image")), command, env, mounts, port)

    def info(self) -> dict[str, Any]:
        """Return what ``GET /workspace`` shows."""
        none = {"cpu": 0, "memory": 0, "accelerator_num": 0}
        return {
            "build_time": "2026-10-20", "git_commit": "standin", "workspace_name": self.id,
            "workspace_tier": "enterprise", "workspace_state": self.state, "supported_shapes": {},
            "workspace_disk_usage_bytes": 0,
            "workloads": {
                "num_deployments": len(self.endpoints.all), "num_jobs": len(self.jobs.all),
                "num_pods": 0, "num_secrets": len(self.secrets), "num_image_pull_secrets": 0,
            },
            "resource_quota": {"limit": none, "used": none},
            "features": {
                "enable_new_deployment_api": self.new_endpoints,
                "enable_secure_endpoint_defaults": self.secure_defaults,
            },
        }  # fmt: skip

    def shapes(self) -> list[dict[str, Any]]:
        """Return what ``GET /shapes`` shows."""
        return [
            {
                "metadata": {"id": name, "name": name},
                "spec": {
                    "name": name, "cpu": cpu, "memory_in_mb": memory, "accelerator_type": gpu,
                    "accelerator_num": gpus,
                },
            }
            for name, cpu, memory, gpu, gpus in SHAPES
        ]  # fmt: skip

    def groups(self) -> list[dict[str, Any]]:
        """Return what ``GET /dedicated-node-groups`` shows."""
        volumes = [{"from": "local", "name": "local", "size_in_gb": 100}]
        volumes += [{"from": "nfs", "name": name, "size_in_gb": 1000} for name in self.volumes]
        return [
            {
                "metadata": {"id": identity, "name": name},
                "spec": {"volumes": volumes, "enable_object_storage": False},
                "status": {"ready_nodes": 2, "quota_enabled": False},
            }
            for identity, name in self.node_groups.items()
        ]
