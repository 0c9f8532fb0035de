"""Provides stand-ins of runtimes on the PATH, and an allocation for runtimes that require one."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import standins


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of converted images, which all tests share."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def commands(converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the stand-ins on the PATH; return the file with their arguments."""
    monkeypatch.setenv("SNAKEVAL_HOME", str(converted))
    monkeypatch.setenv("PATH", standins.path())
    monkeypatch.setenv("STANDIN_RECORD", str(tmp_path / "commands"))
    return tmp_path / "commands"


@pytest.fixture(scope="module")
def job() -> Iterator[dict[str, str]]:
    with standins.allocation("--nodes=2", "--ntasks-per-node=1") as job:
        yield job


@pytest.fixture
def in_a_job(job: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in job.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def with_entry_point() -> Iterator[str]:
    """Return an image with its own entry point and command."""
    name = f"snakeval-test-script:{os.getpid()}"
    entry = json.dumps(["sh", "-c", 'echo "$KEY" "$@"', "entry"])
    changes = [f"ENTRYPOINT {entry}", 'CMD ["its", "own command"]']
    create = ["docker", "create", "snakeval-testbed/busybox:latest"]
    made = subprocess.run(create, capture_output=True, text=True, check=True).stdout.strip()
    commit = [word for change in changes for word in ("--change", change)]
    subprocess.run(["docker", "commit", *commit, made, name], capture_output=True, check=True)
    subprocess.run(["docker", "rm", made], capture_output=True, check=True)
    yield name
    subprocess.run(["docker", "rmi", name], capture_output=True, check=True)
