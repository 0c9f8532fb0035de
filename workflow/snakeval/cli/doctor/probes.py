"""What this machine has: runtimes and their versions, a cluster, room on its disks."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from snakeval.errors import EvaluationError
from snakeval.runtimes import RUNTIMES, connect

_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Answer:
    """What answered. ``problem`` says why it does not, and what to do; it is empty if it does."""

    name: str
    version: str = ""
    problem: str = ""


def runtimes() -> list[Answer]:
    """Ask each runtime whether it answers here."""
    return [runtime(name) for name in RUNTIMES]


def runtime(name: str) -> Answer:
    """Ask the runtime *name* whether it answers here."""
    try:
        connect(name)
        return Answer(name, _version(name))
    except EvaluationError as error:
        return Answer(name, problem=str(error))


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
    return first_line([name, "version", "--format", "{{.Client.Version}}"])


def slurm() -> Answer:
    """Ask whether this is a machine from which jobs can be sent to a Slurm cluster."""
    missing = [word for word in ("sinfo", "sbatch") if shutil.which(word) is None]
    if missing:
        return Answer("slurm", problem=f"no {' and no '.join(missing)} on the PATH")
    try:
        nodes = first_line(["sinfo", "--noheader", "--summarize", "--format", "%P %F"])
        return Answer("slurm", f"{first_line(['sinfo', '--version'])}: {nodes}")
    except EvaluationError as error:
        return Answer("slurm", problem=str(error))


def first_line(command: Sequence[str]) -> str:
    """Return the first line that a command prints.

    Raises:
        EvaluationError: it fails, or says nothing for half a minute.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise EvaluationError(f"{command[0]} does not answer within {_SECONDS} s") from None
    except OSError as error:
        raise EvaluationError(f"{command[0]} cannot be started ({error.strerror})") from None
    if done.returncode != 0:
        problem = done.stderr.strip().splitlines() or ["it says nothing"]
        raise EvaluationError(f"{command[0]} fails: {problem[-1][:200]}")
    return (done.stdout.strip().splitlines() or [""])[0]


def free_bytes(directory: Path) -> int:
    """Return the free bytes where *directory* is, or would be made."""
    existing = directory.absolute()
    while not existing.exists():
        existing = existing.parent
    return shutil.disk_usage(existing).free


def unwritable(directory: Path) -> str:
    """Say why nothing can be written in *directory*, or where it would be made; else nothing."""
    existing = directory.absolute()
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        return f"{existing} is a file"
    return "" if os.access(existing, os.W_OK | os.X_OK) else f"{existing} cannot be written"
