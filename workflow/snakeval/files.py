"""Locates snakeval's home, and reads and writes files atomically.

A reader of a file sees either all of the old text or all of the new text.
"""
# ruff: noqa: PTH112, PTH123

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any


class Directory:
    """A directory that a class owns. It holds the path as text, and construction reads nothing."""

    __slots__ = ("_place",)

    def __init__(self, path: Path | str) -> None:
        self._place = os.fspath(path)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._place == self._place

    def __hash__(self) -> int:
        return hash(self._place)

    def __str__(self) -> str:
        """Return the path, as rules and messages begin with it."""
        return self._place

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._place!r})"

    @property
    def path(self) -> Path:
        """The directory's path."""
        return Path(self._place)

    @property
    def exists(self) -> bool:
        """Whether the directory is there."""
        return os.path.isdir(self._place)


def read_json(path: str) -> dict[str, Any] | None:
    """Return the JSON object in *path*, or None if the file does not exist.

    Raises:
        OSError: the file exists and cannot be read.
        ValueError: the file is damaged.
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
    """Return the directory of saved configurations, environments and caches.

    The directory is ``$SNAKEVAL_HOME``, by default ``~/.snakeval``.
    """
    return Path(os.environ.get("SNAKEVAL_HOME") or "~/.snakeval").expanduser()


def domain() -> str:
    """Return the name of the scope in which runs share model servers: user, home and Slurm job.

    A Slurm job is a scope of its own, since its servers end with it and no other job has its GPUs.
    """
    return f"{os.getuid()} {home().resolve()} {os.environ.get('SLURM_JOB_ID', '')}"


def write_atomically(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write *text* to a temporary file, flush it to the disk, and rename it to *path*.

    Raises:
        OSError: the write failed; *path* is unchanged and the temporary file is gone.
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
    """Write *text* unless *path* already has it; return whether it was written.

    The function does not flush to the disk, since snakeval can write such files again.
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


def replace_link(link: Path, target: Path | str) -> None:
    """Make *link* a symbolic link to *target*, in one step for readers and other writers."""
    draft = link.with_name(f".{link.name}.{uuid.uuid4().hex[:8]}.tmp")
    draft.symlink_to(target)
    try:
        draft.replace(link)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
