"""Probes this machine for runtimes and their versions, a cluster, and room on its disks."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from snakeval import plugins
from snakeval.errors import EvaluationError
from snakeval.processes import first_line
from snakeval.runtimes import connect

_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Answer:
    """The version that answered; if nothing answered, the ``problem`` and a ``hint`` what to do."""

    name: str
    version: str = ""
    problem: str = ""
    hint: str = ""


def runtimes() -> list[Answer]:
    """Ask each runtime whether it answers here."""
    return [runtime(name) for name in plugins.names(plugins.RUNTIMES)]


def runtime(name: str) -> Answer:
    """Ask the runtime *name* whether it answers here."""
    try:
        connect(name)
        return Answer(name, _version(name))
    except EvaluationError as error:
        return Answer(name, problem=error.problem, hint=error.hint)


def _version(name: str) -> str:
    if name == "process":
        return f"Python {platform.python_version()}"
    if name == "pyxis":
        return first_line(["srun", "--version"])
    if name == "apptainer":
        return first_line([shutil.which(name) or "singularity", "--version"])
    if name == "docker":
        import docker  # its command need not be here

        return str(docker.from_env(timeout=_SECONDS).version()["Version"])
    if name == "podman":
        return first_line([name, "version", "--format", "{{.Client.Version}}"])
    return plugins.origin(plugins.RUNTIMES, name)


def free_bytes(directory: Path) -> int:
    """Return the free bytes of the disk of *directory*, which need not exist yet."""
    existing = directory.absolute()
    while not existing.exists():
        existing = existing.parent
    return shutil.disk_usage(existing).free


def unwritable(directory: Path) -> str:
    """Return why *directory*, which need not exist yet, cannot be written; empty if it can."""
    existing = directory.absolute()
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        return f"{existing} is a file"
    return "" if os.access(existing, os.W_OK | os.X_OK) else f"{existing} cannot be written"
