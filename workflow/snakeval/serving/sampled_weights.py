"""Digests of model weights in format 1, which read only both ends of each file.

Only results of format 1 still depend on them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from snakeval.serving.weights import Kept, by_stat, files_of, unreadable

#: How much of each end of a file is read.
_SAMPLE_BYTES = 1 << 16


def sampled(checkpoint: Path, *, read: bool = True) -> str | None:
    """Return the digest of a checkpoint in format 1; None if it is not kept and must not be *read*.

    It covers the name, the size and both ends (64 KiB each) of every file.

    Raises:
        ConfigError: a file cannot be read.
    """
    kept, key = Kept(checkpoint), [by_stat(files_of(checkpoint))]
    value = kept.get("format 1", key)
    if value is None and read:
        value = checkpoint_digest(checkpoint)
        kept.put("format 1", key, value)
    return value


def checkpoint_digest(path: Path) -> str:
    """Return the digest of a checkpoint in format 1. Hidden files are no part of it.

    Raises:
        ConfigError: a file cannot be read.
    """
    total = hashlib.sha256()
    try:
        for name, file in _files_of_format_1(path):
            size = file.stat().st_size
            total.update(f"{len(name)}:{name}:{size}:".encode())
            with file.open("rb") as content:
                total.update(content.read(_SAMPLE_BYTES))
                content.seek(max(_SAMPLE_BYTES, size - _SAMPLE_BYTES))
                total.update(content.read())
    except OSError as error:
        raise unreadable(error, path) from None
    return total.hexdigest()


def _files_of_format_1(path: Path) -> list[tuple[str, Path]]:
    if path.is_file():
        return [(path.name, path)]
    below = ((file.relative_to(path), file) for file in sorted(path.rglob("*")))
    return [
        (name.as_posix(), file)
        for name, file in below
        if file.is_file() and not any(part.startswith(".") for part in name.parts)
    ]
