"""Copies the answers of other runs' journals into the journal of an evaluation.

The copies are answers like all others of the journal: they can be dropped and scored again, and
they stay if the other runs go. The header of their file names the journals that they come from.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from snakeval.ledger import records
from snakeval.ledger.journal import files_of

#: The name of a copy that is not whole yet; no reader takes it for a file of a journal.
_DRAFT = "borrowed.draft"


def borrow(folder: Path, identity: str, others: Sequence[Path]) -> int:
    """Copy the answers of *identity* in the journals *others* to that in *folder*, once.

    Return how many answers were new. Equal requests have the answers that are there first, then
    those of *others* in their order. No gateway may have the journal in *folder* open.

    Raises:
        OSError: a journal cannot be read or written.
    """
    own = _Found()
    known = own.add(folder, identity)
    number = max((int(path.stem) for path in files_of(folder)), default=0) + 1
    found, lenders = _Found(), []
    for other in others:
        if str(other) not in known:
            count = len(found)
            found.add(other, identity)
            lenders += [str(other)] if len(found) > count else []
    if lenders:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / _DRAFT
        with path.open("wb") as draft:
            draft.write(records.header(identity, lenders=lenders))
            for data in found.behind(own):
                draft.write(data)
            draft.flush()
            os.fsync(draft.fileno())
        path.replace(folder / f"{number:04d}.journal")
        directory = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    return found.answers


_Places = dict[tuple[bytes, int], tuple[Path, int]]


class _Found:
    """The places of the answers of some journals."""

    def __init__(self) -> None:
        #: Of each journal, the places of its answers by key and occurrence.
        self._journals: list[_Places] = []
        #: The places of refusals, and of answers of which only the latest counts.
        self._single: dict[tuple[bytes, bytes], tuple[Path, int]] = {}

    def __len__(self) -> int:
        return self.answers + len(self._single)

    @property
    def answers(self) -> int:
        return sum(map(len, self._journals))

    def add(self, folder: Path, identity: str) -> set[str]:
        """Add a journal; return the journals whose answers it has copied.

        Raises:
            OSError: a file cannot be read.
        """
        places: _Places = {}
        lenders: set[str] = set()
        for path in files_of(folder):
            file = os.open(path, os.O_RDONLY)
            try:
                found, start = records.read_header(file)
                if not start or found != identity:
                    continue
                lenders |= records.read_lenders(file)
                for mark, key, occurrence, offset in records.scan(file, start):
                    if mark == records.ANSWER:
                        places[key, occurrence] = path, offset
                    elif mark != records.DROPPED:
                        self._single[mark, key] = path, offset
                    elif occurrence == records.REFUSAL:
                        self._single.pop((records.REFUSED, key), None)
                    else:
                        places.pop((key, occurrence), None)
            finally:
                os.close(file)
        self._journals.append(places)
        return lenders

    def behind(self, first: _Found) -> Iterator[bytes]:
        """Yield the records of the answers, which follow those of *first* without gaps.

        Raises:
            OSError, ValueError: an answer cannot be read.
        """
        next_one: dict[bytes, int] = {}
        for key, occurrence in (place for places in first._journals for place in places):
            next_one[key] = max(next_one.get(key, 0), occurrence + 1)
        opened: dict[Path, int] = {}
        try:
            for places in self._journals:
                for key, occurrence in sorted(places, key=lambda place: place[1]):
                    path, offset = places[key, occurrence]
                    free = next_one.get(key, 0)
                    next_one[key] = free + 1
                    yield records.moved(_open(path, opened), offset, free)
            for single, (path, offset) in self._single.items():
                if single not in first._single:
                    yield records.moved(_open(path, opened), offset)
        finally:
            for file in opened.values():
                os.close(file)


def _open(path: Path, opened: dict[Path, int]) -> int:
    if path not in opened:
        opened[path] = os.open(path, os.O_RDONLY)
    return opened[path]
