"""The Docker engine of the test bed, which tests and people use side by side."""

from __future__ import annotations

from pathlib import Path

import docker

from snakeval.run.directory import RunDirectory
from snakeval.serving.directory import DeploymentDirectory
from support.bed_lock import BedLock

#: Only a test that is alone restarts the engine.
engine = BedLock("engine")


def containers_of(run: Path) -> list[str]:
    """What `docker ps -a` shows of a run: its harnesses, and the servers that it deployed."""
    labels = [f"snakeval.run={run.name}"]
    labels += [
        f"snakeval.server={plan.deployment.id}"
        for plan in DeploymentDirectory.plans(RunDirectory(run))
    ]
    engine = docker.from_env()
    return [
        container.name
        for label in labels
        for container in engine.containers.list(all=True, filters={"label": label})
    ]
