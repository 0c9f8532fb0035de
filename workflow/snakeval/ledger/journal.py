"""The journal of an upstream: every answered request, on disk before its answer is passed on.

A journal is a directory of files. Each gateway process writes a file of its own, ``0001.journal``,
``0002.journal`` and so on, so no two processes write to one file. A file begins with a header,
which holds the answer identity; a reader skips files of another identity. Then records follow::

    "R" | length of payload (u32) | CRC-32 of the rest (u32) | key (16 bytes) | occurrence (u32) | payload

The payload is compressed by zlib: length of meta (u32), meta (JSON), length of request (u32), request,
response. Numbers are little-endian. A reader reads a file up to the first record that is torn or
damaged. Several files, or several journals, in a given order act as one: the occurrences of a key in a
later one follow those in the earlier ones.
"""

from __future__ import annotations

import asyncio
import json
import mmap
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

MAGIC = b"snakeval ledger 1\n"
_HEAD = struct.Struct("<sII16sI")
_LENGTH = struct.Struct("<I")
#: What the CRC covers: key and occurrence.
_COVERED = struct.Struct("<16sI")
KEY_BYTES = 16


class JournalError(Exception):
    """The journal cannot be written; no answer may be passed on any more."""


@dataclass(frozen=True)
class Answer:
    """A request and its answer.

    Attributes:
        meta: ``status``, ``headers`` (pairs of the response), ``method``, ``path``, ``time`` and
            measures of the exchange, as JSON data.
        request: the body of the request, or nothing if only its hash is kept.
        response: the body as the harness receives it.
    """

    meta: dict[str, Any]
    request: bytes
    response: bytes


@dataclass(frozen=True)
class Place:
    """Where an answer is: a file of the journal, and the offset of its record."""

    file: int
    offset: int


class Journal:
    """The answers of one answer identity in one directory.

    *before* are directories of journals that precede it, for example those of two halves of a task.

    Raises:
        OSError: a file cannot be read.
    """

    def __init__(self, directory: Path, identity: str, before: Sequence[Path] = ()) -> None:
        self.directory, self.identity = directory, identity
        self.writable = True
        self._maps: list[Union[mmap.mmap, bytes]] = []
        # The places of a key, in the order of occurrences. One place is an int, several are a list:
        # almost all keys occur once, and a million lists would take 60 MB.
        self._index: dict[bytes, Union[int, list[int]]] = {}
        #: Records of the files that this process did not write.
        self.kept = 0
        for place in (*before, directory):
            for path in sorted(place.glob("*.journal")):
                self._read(path)
        self._file: Optional[int] = None
        self._own: dict[int, Answer] = {}
        self._pending: list[tuple[bytes, asyncio.Future[None]]] = []
        self._flushing: Optional[asyncio.Task[None]] = None
        self.broken = ""

    # --- read -----------------------------------------------------------------------------

    def _read(self, path: Path) -> None:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < len(MAGIC) + _LENGTH.size:
                return
            content = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
        start = header_end(content, self.identity)
        if not start:
            content.close()
            return
        number = len(self._maps)
        self._maps.append(content)
        view = memoryview(content)
        try:
            for key, offset, _ in scan(view, start):
                self._add(key, number << 48 | offset)
                self.kept += 1
        finally:
            view.release()

    def _add(self, key: bytes, place: int) -> None:
        found = self._index.get(key)
        if found is None:
            self._index[key] = place
        elif isinstance(found, list):
            found.append(place)
        else:
            self._index[key] = [found, place]

    def count(self, key: bytes) -> int:
        """Return how many answers of *key* are kept."""
        found = self._index.get(key)
        return 0 if found is None else len(found) if isinstance(found, list) else 1

    def answer(self, key: bytes, occurrence: int) -> Answer:
        """Return an answer; *occurrence* counts from 0.

        Raises:
            KeyError: it is not kept.
        """
        found = self._index[key]
        places = found if isinstance(found, list) else [found]
        try:
            place = places[occurrence]
        except IndexError:
            raise KeyError(key) from None
        if place < 0:
            return self._own[place]
        content = self._maps[place >> 48]
        return unpack(content, place & (1 << 48) - 1)

    def answers(self) -> Iterator[Answer]:
        """Return all answers that other processes wrote, in their order."""
        for content in self._maps:
            start = header_end(content, self.identity)
            view = memoryview(content)
            try:
                for _, offset, _ in scan(view, start):
                    yield unpack(content, offset)
            finally:
                view.release()

    # --- write ----------------------------------------------------------------------------

    async def append(self, key: bytes, occurrence: int, answer: Answer) -> None:
        """Keep an answer; return when it is on disk.

        Appends that come together share one flush of the disk.

        Raises:
            JournalError: the disk is full, or the file cannot be written.
        """
        if self.broken:
            raise JournalError(self.broken)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append((pack(key, occurrence, answer), done))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.ensure_future(self._flush())
        await done
        place = -1 - len(self._own)
        self._own[place] = answer
        self._add(key, place)

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._pending:
            batch, self._pending = self._pending, []
            data = b"".join(record for record, _ in batch)
            try:
                await loop.run_in_executor(None, self._write, data)
            except OSError as error:
                self.broken = f"{self.directory}: cannot be written ({error.strerror})"
                for _, done in (*batch, *self._pending):
                    if not done.done():
                        done.set_exception(JournalError(self.broken))
                self._pending = []
                return
            for _, done in batch:
                if not done.done():
                    done.set_result(None)

    def _write(self, data: bytes) -> None:
        if self._file is None:
            self._file = self._create()
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        os.fdatasync(self._file)

    def _create(self) -> int:
        """Create the file of this process under the next free number."""
        self.directory.mkdir(parents=True, exist_ok=True)
        number = 1 + max((int(p.stem) for p in self.directory.glob("[0-9]*.journal")), default=0)
        while True:
            try:
                path = self.directory / f"{number:04d}.journal"
                file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
                break
            except FileExistsError:
                number += 1
        os.write(file, header(self.identity))
        # The name of a new file is safe only when its directory is.
        folder = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return file

    def close(self) -> None:
        """Close the files. All that was appended is on disk."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


# --- the format -----------------------------------------------------------------------------------


def header(identity: str) -> bytes:
    """Return the beginning of a file of *identity*."""
    text = json.dumps({"identity": identity}).encode()
    return MAGIC + _LENGTH.pack(len(text)) + text


def header_end(content: Union[mmap.mmap, bytes], identity: str) -> int:
    """Return where the records begin; 0 if the file is of another identity or no journal."""
    if content[: len(MAGIC)] != MAGIC:
        return 0
    (length,) = _LENGTH.unpack_from(content, len(MAGIC))
    start = len(MAGIC) + _LENGTH.size
    try:
        found = json.loads(content[start : start + length])
    except ValueError:
        return 0
    return start + length if found.get("identity") == identity else 0


def scan(view: memoryview, start: int) -> Iterator[tuple[bytes, int, int]]:
    """Return key, offset and occurrence of each record, up to the first that does not check."""
    size, at = len(view), start
    head, unpack_head, crc = _HEAD.size, _HEAD.unpack_from, zlib.crc32
    covered = head - _COVERED.size
    while at + head <= size:
        mark, length, check, key, occurrence = unpack_head(view, at)
        end = at + head + length
        if mark != b"R" or end > size or crc(view[at + covered : end]) != check:
            return
        yield key, at, occurrence
        at = end


def pack(key: bytes, occurrence: int, answer: Answer) -> bytes:
    """Return the record of an answer."""
    meta = json.dumps(answer.meta, separators=(",", ":")).encode("utf-8", "surrogatepass")
    plain = b"".join(
        [
            _LENGTH.pack(len(meta)),
            meta,
            _LENGTH.pack(len(answer.request)),
            answer.request,
            answer.response,
        ]
    )
    payload = zlib.compress(plain, 1)
    body = _COVERED.pack(key, occurrence) + payload
    return _HEAD.pack(b"R", len(payload), zlib.crc32(body), key, occurrence) + payload


def unpack(content: Union[mmap.mmap, bytes], offset: int) -> Answer:
    """Return the answer in the record at *offset*."""
    _, length, _, _, _ = _HEAD.unpack_from(content, offset)
    start = offset + _HEAD.size
    plain = zlib.decompress(content[start : start + length])
    (size,) = _LENGTH.unpack_from(plain, 0)
    meta = json.loads(plain[_LENGTH.size : _LENGTH.size + size])
    at = _LENGTH.size + size
    (size,) = _LENGTH.unpack_from(plain, at)
    at += _LENGTH.size
    return Answer(meta, plain[at : at + size], plain[at + size :])
