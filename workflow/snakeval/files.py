"""Where our own files stand; and writing, so that a reader sees all of the new or of the old."""
# ruff: noqa: PTH123

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any


def read_json(path: str) -> dict[str, Any] | None:
    """Return what *path* holds, or None where it is not there.

    Raises:
        OSError: it is there and cannot be read.
        ValueError: it is damaged.
    """
    try:
        with open(path, "rb", buffering=0) as file:  # unbuffered: it is read as a whole
            data = json.loads(file.read().decode())
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not isinstance(data, dict):
        raise ValueError(f"{path} is damaged")
    return data


def home() -> Path:
    """``$SNAKEVAL_HOME`` (default ``~/.snakeval``): saved configurations, environments, caches."""
    return Path(os.environ.get("SNAKEVAL_HOME") or "~/.snakeval").expanduser()


def domain() -> str:
    """Name within what model servers are shared: a user's ``home()`` on a machine.

    In a job of Slurm that job: what it started ends with it, and its GPUs are no other job's.
    """
    return f"{os.getuid()} {home().resolve()} {os.environ.get('SLURM_JOB_ID', '')}"


def write_atomically(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write *text* beside *path*, flush it to the disk, and rename it into place.

    Raises:
        OSError: nothing was replaced; the temporary file is gone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_if_changed(path: Path, text: str, *, mode: int = 0o644) -> bool:
    """Write *text* unless *path* holds it already; tell whether it was written.

    Without a flush: what is written so can be made again from the configuration.
    """
    try:
        if path.read_text(encoding="utf-8") == text:
            return False
    except (FileNotFoundError, UnicodeDecodeError):
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return True
