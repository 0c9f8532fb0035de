"""The journal of an upstream: every sound answer, on disk before its last byte is passed on.

A journal is a directory of files (``records.py`` has their format). Each gateway process writes a
file of its own, ``0001.journal``, ``0002.journal`` and so on, so no two processes write to one
file. A reader skips files of another answer identity.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

from snakeval.ledger import brought, records, unused
from snakeval.ledger.index import Index
from snakeval.ledger.records import Answer

#: A place is the number of a file and an offset in it.
_OFFSET_BITS = 48
_OFFSETS = (1 << _OFFSET_BITS) - 1
#: Bytes of zeros behind the last record while a process writes: as many as its file has, within
#: these bounds.
_LEAST_AHEAD, _MOST_AHEAD = 1 << 18, 1 << 22
#: Flushes of the disk at once.
_FLUSHES = 2


class JournalError(Exception):
    """The journal cannot be written; no answer may be passed on any more."""


class Journal:
    """The answers of one answer identity in one directory.

    Args:
        directory: of the journal's files; created with the first answer.
        identity: the answer identity.
        account: pays the answers that this process adds; see :mod:`snakeval.ledger.budget`.

    Raises:
        OSError: a file cannot be read.
    """

    def __init__(self, directory: Path, identity: str, account: str = "") -> None:
        self.directory, self.identity, self._account = directory, identity, account
        #: How many answers earlier processes stored.
        self.kept = 0
        #: Why the journal cannot be written any more.
        self.broken = ""
        self._files: list[int] = []
        self._latest: dict[bytes, int] = {}
        self._refused: dict[bytes, int] = {}
        #: The files with answers of other runs, which paid for them.
        self._free: set[int] = set()
        self._index = self._read(directory)
        self._own, self._end, self._size = -1, 0, 0
        self._unflushed: list[asyncio.Future[None]] = []
        self._flushing = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._disk = ThreadPoolExecutor(_FLUSHES, thread_name_prefix="journal")

    def _read(self, directory: Path) -> Index:
        index, foreign = Index(), brought.read(directory)
        for path in files_of(directory):
            file = os.open(path, os.O_RDONLY)
            identity, start = records.read_header(file)
            if not start or identity != self.identity:
                os.close(file)
                continue
            if path.name in foreign or records.read_lenders(file):
                self._free.add(len(self._files))
            number = len(self._files) << _OFFSET_BITS
            self._files.append(file)
            for mark, key, occurrence, offset in records.scan(file, start):
                if mark == records.ANSWER:
                    self.kept += index.put(key, occurrence, number | offset)
                elif mark == records.REFUSED:
                    self._refused[key] = number | offset
                elif mark == records.DROPPED and occurrence == records.REFUSAL:
                    self._refused.pop(key, None)
                elif mark == records.DROPPED:
                    self.kept -= index.drop(key, occurrence)
                else:
                    self._latest[key] = number | offset
        return index

    # --- read -----------------------------------------------------------------------------

    def find(self, key: bytes, occurrence: int) -> Answer | None:
        """Return an answer, or None if it is not kept; *occurrence* counts from 0."""
        return self._answer(self._index.get(key, occurrence))

    def is_free(self, key: bytes, occurrence: int) -> bool:
        """Whether another run paid for an answer."""
        place = self._index.get(key, occurrence)
        return place is not None and place >> _OFFSET_BITS in self._free

    def latest(self, key: bytes) -> Answer | None:
        """Return the latest answer of a key of which only the latest counts, or None."""
        return self._answer(self._latest.get(key))

    def refusal(self, key: bytes) -> Answer | None:
        """Return the answer with which the endpoint refuses a request each time, or None."""
        return self._answer(self._refused.get(key))

    def _answer(self, place: int | None) -> Answer | None:
        if place is None:
            return None
        return records.read(self._files[place >> _OFFSET_BITS], place & _OFFSETS)

    # --- write ----------------------------------------------------------------------------

    async def append(self, key: bytes, occurrence: int, answer: Answer) -> None:
        """Keep an answer; return when it is on disk.

        Raises:
            JournalError: the disk is full, or the file cannot be written.
        """
        place = await self._put(records.pack(records.ANSWER, key, occurrence, answer))
        self._index.put(key, occurrence, place)

    async def append_latest(self, key: bytes, answer: Answer) -> None:
        """Keep an answer of which only the latest counts, if it is not equal to the latest.

        Raises:
            JournalError: the disk is full, or the file cannot be written.
        """
        known = self.latest(key)
        if known is None or known.response != answer.response:
            self._latest[key] = await self._put(records.pack(records.LATEST, key, 0, answer))

    async def append_refusal(self, key: bytes, answer: Answer) -> None:
        """Keep the answer with which the endpoint refuses a request each time.

        Raises:
            JournalError: the disk is full, or the file cannot be written.
        """
        data = records.pack(records.REFUSED, key, records.REFUSAL, answer)
        self._refused[key] = await self._put(data)

    async def drop(self, answers: Iterable[tuple[bytes, int]]) -> int:
        """Drop answers, so that their requests are asked again; return how many were kept.

        The occurrence of a refusal is ``records.REFUSAL``.

        Raises:
            JournalError: the disk is full, or the file cannot be written.
        """
        kept = [answer for answer in answers if self._has(*answer)]
        if kept:
            await self._put(b"".join(records.pack_dropped(*answer) for answer in kept))
        for key, occurrence in kept:
            if occurrence == records.REFUSAL:
                del self._refused[key]
            else:
                self.kept -= self._index.drop(key, occurrence)
        return len(kept)

    def _has(self, key: bytes, occurrence: int) -> bool:
        if occurrence == records.REFUSAL:
            return key in self._refused
        return self._index.get(key, occurrence) is not None

    def note_unused(self, wanted: Callable[[bytes], int]) -> None:
        """Note the stored answers beyond those that the harness *wanted* of each key."""
        own = self._index.items() if self.kept else ()
        left = [(key, number) for key, number, _ in own if number >= wanted(key)]
        unused.write(self.directory, self.identity, left)

    def release(self, key: bytes, occurrence: int) -> None:
        """Do nothing: the harness received the answer, and the journal keeps it."""

    async def _put(self, data: bytes) -> int:
        """Write *data*, and return its place when it is on disk.

        Writes happen in their order, before any flush that follows. A flush thus covers all that
        comes before its own data, and two flushes can be under way at once.
        """
        if self.broken:
            raise JournalError(self.broken)
        try:
            offset = self._write(data)
        except OSError as error:
            self._break(error)
            raise JournalError(self.broken) from None
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unflushed.append(done)
        if self._flushing < _FLUSHES:
            self._flushing += 1
            task = asyncio.ensure_future(self._flush())
            self._tasks.add(task)  # the loop alone would not keep it
            task.add_done_callback(self._tasks.discard)
        await done
        return (len(self._files) - 1) << _OFFSET_BITS | offset

    async def _flush(self) -> None:
        """Flush the disk for all that was written meanwhile, as often as there is something."""
        loop = asyncio.get_running_loop()
        while self._unflushed:
            batch, self._unflushed = self._unflushed, []
            try:
                await loop.run_in_executor(self._disk, os.fdatasync, self._own)
            except OSError as error:
                self._break(error)
            for done in batch:
                # The waiter may be cancelled meanwhile; its data is on disk all the same.
                if done.done():
                    continue
                if self.broken:
                    done.set_exception(JournalError(self.broken))
                else:
                    done.set_result(None)
        self._flushing -= 1

    def _break(self, error: OSError) -> None:
        self.broken = self.broken or f"{self.directory} cannot be written ({error.strerror})"

    def _write(self, data: bytes) -> int:
        """Write to the file of this process; return the offset of *data*.

        Zeros behind the data reserve space for the next appends. A flush of a new size of the file
        waits for the file system's own journal, which may take ten times as long as a flush of the
        data. A reader ends at zeros.
        """
        if self._own < 0:
            self._own = create(self.directory, records.header(self.identity, self._account))
            self._files.append(self._own)
            self._end = self._size = os.fstat(self._own).st_size
        offset, end = self._end, self._end + len(data)
        if end > self._size:
            data += bytes(min(max(end, _LEAST_AHEAD), _MOST_AHEAD))
        view, at = memoryview(data), offset
        while view:
            written = os.pwrite(self._own, view, at)
            view, at = view[written:], at + written
        self._end, self._size = end, max(self._size, at)
        return offset

    def close(self) -> None:
        """Close the files. All answers that were appended are on disk."""
        self._disk.shutdown()
        if self._own >= 0 and not self.broken:
            os.truncate(self._own, self._end)
        for file in self._files:
            os.close(file)
        self._files = []


def files_of(directory: Path) -> list[Path]:
    """Return the files of a journal in the order in which they were written.

    A pipe or a directory is none of them.
    """
    found = (p for p in directory.glob("*.journal") if p.stem.isdigit() and p.is_file())
    return sorted(found, key=lambda path: int(path.stem))


def create(directory: Path, header: bytes) -> int:
    """Create the file of this process under the next free number.

    Raises:
        OSError: the file cannot be created.
    """
    directory.mkdir(parents=True, exist_ok=True)
    number = max((int(path.stem) for path in files_of(directory)), default=0)
    while True:
        number += 1
        path = directory / f"{number:04d}.journal"
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            break
        except FileExistsError:
            continue
    os.write(file, header)
    # The name of a new file is on disk only when its directory is.
    folder = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return file
