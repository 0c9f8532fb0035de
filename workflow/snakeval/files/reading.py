"""Reads small files. A read never waits for a pipe, and knows a file server's stale answers."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import Any

from snakeval.files.parsing import json_object, json_value


class NotAFileError(OSError):
    """There is something under a file's name, and it can never be read as a file."""


#: The errors of a name that is there and leads to no file.
_NO_FILE = {
    errno.EISDIR: "a directory",
    errno.ELOOP: "a link to itself",
    errno.ENXIO: "a socket",
    errno.ENODEV: "a device",
}

#: How often a file is opened before an answer ESTALE counts.
_STALE_TRIES = 4


def read_bytes(path: Path | str) -> bytes | None:
    """Return the content of a small file, or None if the file does not exist.

    A file server may have replaced the file since it was looked up, and answers ESTALE. The
    function then opens the file again. It never waits for a pipe.

    Raises:
        NotAFileError: it is no file, such as a directory or a link to itself.
        OSError: the file exists and cannot be read.
    """
    for remaining in reversed(range(_STALE_TRIES)):
        try:
            file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                found = os.fstat(file)
                if stat.S_ISCHR(found.st_mode):  # some have no end
                    raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
                content = os.read(file, found.st_size + 1)
                if stat.S_ISREG(found.st_mode) and len(content) == found.st_size:
                    return content  # another read would find the end
                parts = [content]
                while part := os.read(file, 1 << 20):
                    parts.append(part)
                return b"".join(parts)
            finally:
                os.close(file)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.ESTALE and remaining:
                continue
            error.filename = error.filename or os.fspath(path)
            if error.errno in _NO_FILE:
                raise NotAFileError(error.errno, _NO_FILE[error.errno], error.filename) from None
            raise
    return None  # pragma: no cover


def read_text(path: Path | str) -> str:
    """Return the text of a small file.

    Raises:
        OSError: the file cannot be read, or does not exist.
        ValueError: it is not UTF-8.
    """
    content = read_bytes(path)
    if content is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
    return content.decode()


def without_waiting(path: str, flags: int) -> int:
    """Open a file for ``open(…, opener=without_waiting)``, which never waits for a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def read_json(path: str) -> dict[str, Any] | None:
    """Return the JSON object in *path*, or None if the file does not exist.

    Raises:
        OSError: the file exists and cannot be read.
        ValueError: the file is damaged.
    """
    content = read_bytes(path)
    if content is None:
        return None
    try:
        return json_object(content)
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error})") from None


def read_list(path: Path | str) -> list[Any] | None:
    """Return the JSON list in *path*, or None if the file does not exist.

    Raises:
        OSError: the file exists and cannot be read.
        ValueError: the file is damaged.
    """
    content = read_bytes(path)
    if content is None:
        return None
    if not isinstance(found := json_value(content), list):
        raise ValueError(f"{path} is damaged (not a list)")
    return found


def sha256_of(path: Path | str) -> str:
    """Return the SHA-256 of a file's content, in hex; empty if there is no file.

    Raises:
        OSError: the file exists and cannot be read.
    """
    content = read_bytes(path)
    return "" if content is None else hashlib.sha256(content).hexdigest()
