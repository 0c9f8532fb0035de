"""The stored answers that the last harness did not ask for, which its scores thus do not use."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterable
from pathlib import Path

from snakeval.ledger import records

_NAME = "unused"
_PLACE = struct.Struct("<16sI")


def write(folder: Path, identity: str, places: Iterable[tuple[bytes, int]]) -> None:
    """Note keys and occurrences of answers of *identity*; without any, remove an earlier note."""
    path = folder / _NAME
    data = b"".join(_PLACE.pack(*place) for place in places)
    # A full disk costs only this note: health then counts the answers.
    with contextlib.suppress(OSError):
        if data:
            path.write_bytes(records.header(identity) + data)
        elif path.exists():
            path.unlink()


def read(folder: Path, identity: str) -> set[tuple[bytes, int]]:
    """Return the noted keys and occurrences of *identity*.

    Raises:
        OSError: the note cannot be read.
    """
    try:
        data = (folder / _NAME).read_bytes()
    except FileNotFoundError:
        return set()
    begin = records.header(identity)
    if not data.startswith(begin):
        return set()
    end = len(data) - (len(data) - len(begin)) % _PLACE.size
    return set(_PLACE.iter_unpack(data[len(begin) : end]))
