"""The Docker engine of the test bed, which tests and people use side by side."""

from __future__ import annotations

import contextlib
import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker

from snakeval.run.directory import RunDirectory
from snakeval.serving.directory import DeploymentDirectory

_LOCK = Path(tempfile.gettempdir()) / "snakeval-testbed-engine.lock"
#: Whoever waits to be alone keeps others from coming.
_GATE = _LOCK.with_suffix(".gate")


@contextlib.contextmanager
def engine(*, alone: bool = False) -> Iterator[None]:
    """Keep the engine as it is; *alone*: do with it what one wants. Several may run the tests."""
    with _LOCK.open("w") as lock:
        with _GATE.open("w") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


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
