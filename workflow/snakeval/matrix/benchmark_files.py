"""The files of a benchmark: their digest, and the snapshot from which its evaluations run.

The head hashes the files when a command plans, and a harness reads them hours later. The harness
therefore reads a copy in the run, whose name is the digest, so that an edit in between changes no
evaluation.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from snakeval.errors import ConfigError


def files_digest(directory: Path, *, follow: bool = True) -> str:
    """Return the SHA-256 over the names and contents of the files below *directory*.

    Skips hidden files and ``__pycache__``, which editors and interpreters leave. Without *follow*,
    it skips directories behind links, as format 1 did.

    Raises:
        ConfigError: a file cannot be read.
    """
    total = hashlib.sha256()
    for relative, path in _files(directory, follow):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror}); check it") from None
        total.update(f"{len(relative)}:{relative}:{len(content)}:".encode())
        total.update(content)
    return total.hexdigest()


def take_snapshot(directory: Path, digest: str, target: Path) -> None:
    """Copy the files of *directory*, which have *digest*, to *target*, unless it is there.

    Raises:
        ConfigError: a file cannot be read, or the files changed since the command planned.
        OSError: the copy cannot be written.
    """
    if target.is_dir():
        if files_digest(target) == digest:
            return
        shutil.rmtree(target)  # something wrote to it, such as a harness without a container
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        for relative, path in _files(directory, follow=True):
            copy = draft / relative
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
        if files_digest(draft) != digest:
            raise ConfigError(
                f"{directory}: its files changed while the run started; run the same command again"
            )
        try:
            draft.rename(target)
        except OSError:
            if not target.is_dir():  # else another command made the same copy meanwhile
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _files(directory: Path, follow: bool) -> Iterator[tuple[str, Path]]:
    """Yield the files with their relative names, in one order on every machine."""
    seen: set[str] = set()
    for folder, folders, names in os.walk(directory, followlinks=follow):
        if follow:
            seen.add(os.path.realpath(folder))
        folders[:] = sorted(
            f for f in folders
            if not f.startswith(".") and f != "__pycache__"
            and not (follow and os.path.realpath(Path(folder, f)) in seen)
        )  # fmt: skip
        for name in sorted(names):
            if not name.startswith("."):
                path = Path(folder, name)
                yield path.relative_to(directory).as_posix(), path
