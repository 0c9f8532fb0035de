"""Reads the journals of an evaluation without a gateway, and drops answers from them."""

from __future__ import annotations

import asyncio
import json
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from snakeval.ledger import answers, records, unused
from snakeval.ledger.asked import Asked
from snakeval.ledger.choices import choices_of
from snakeval.ledger.endings import died, is_cut, is_filtered
from snakeval.ledger.index import Index
from snakeval.ledger.journal import Journal, files_of
from snakeval.ledger.parts import parts_of
from snakeval.ledger.records import Answer
from snakeval.ledger.summary import folder_of, name_of

#: Which stored answers can be asked for again.
ALL, UNHEALTHY, LAST = "all", "unhealthy", "last"


@dataclass(frozen=True)
class Stored:
    """One stored answer.

    Attributes:
        upstream: the name of the model that was asked.
        identity: the answer identity of its journal.
        occurrence: which of several equal requests it answers, from 0; of a refusal, ``REFUSAL``.
    """

    upstream: str
    identity: str
    key: bytes
    occurrence: int
    answer: Answer

    @property
    def number(self) -> int:
        """Which of several equal requests it answers, from 1; a refusal answers them all."""
        return 1 if self.is_refusal else self.occurrence + 1

    @property
    def is_refusal(self) -> bool:
        """Whether the endpoint refused the request."""
        return self.occurrence == records.REFUSAL

    @property
    def id(self) -> str:
        """The beginning of its key, and its number if it is not the first, or that it refuses."""
        if self.is_refusal:
            return self.key.hex()[:12] + "-refused"
        return self.key.hex()[:12] + (f"-{self.number}" if self.number > 1 else "")

    @property
    def is_empty(self) -> bool:
        """Whether the answer, or one of its choices, has no text besides reasoning."""
        asked = Asked(self.answer.request)
        return any(choice.lack(asked) for choice in choices_of(parts_of(self.answer)))

    @property
    def finish(self) -> list[str]:
        """The reasons for which its choices ended."""
        return list(self.answer.meta.get("finish") or ())

    @property
    def is_healthy(self) -> bool:
        """Whether it is an answer of the model, and not a refusal, of a filter or of nothing."""
        refused = self.is_refusal or int(self.answer.meta.get("status", 200)) >= 400
        if refused or any(is_filtered(each) or died(each) for each in self.finish):
            return False
        return not self.is_empty

    @property
    def is_cut(self) -> bool:
        """Whether the token limit ended one of its choices."""
        return any(map(is_cut, self.finish))

    def request(self) -> Any:
        """Return the request as JSON data, or its text."""
        return _readable(self.answer.request)

    def response(self) -> Any:
        """Return the answer as JSON data, or its text."""
        headers = [(name, text) for name, text in self.answer.meta["headers"]]
        plain = answers.decoded(headers, self.answer.response)
        return _readable(self.answer.response if plain is None else plain)


def _readable(body: bytes) -> Any:
    data = answers.parsed(body)
    return body.decode("utf-8", "replace") if data is None else data


def stored(directory: Path) -> Iterator[Stored]:
    """Yield the answers below an evaluation's ``requests/``, in the order in which they came.

    Raises:
        OSError: a file cannot be read.
    """
    for folder in sorted(path for path in directory.glob("*") if path.is_dir()):
        yield from _of_journal(folder)


def _of_journal(directory: Path) -> Iterator[Stored]:
    found: dict[tuple[str, bytes, int], tuple[Path, int]] = {}
    for path in files_of(directory):
        file = os.open(path, os.O_RDONLY)
        try:
            identity, start = records.read_header(file)
            for mark, key, occurrence, offset in records.scan(file, start) if start else ():
                found.pop((identity, key, occurrence), None)
                if mark in (records.ANSWER, records.REFUSED):
                    found[identity, key, occurrence] = path, offset
        finally:
            os.close(file)
    opened: dict[Path, int] = {}
    try:
        for (identity, key, occurrence), (path, offset) in found.items():
            if path not in opened:
                opened[path] = os.open(path, os.O_RDONLY)
            answer = records.read(opened[path], offset)
            yield Stored(name_of(directory), identity, key, occurrence, answer)
    finally:
        for file in opened.values():
            os.close(file)


def newest_identity(folder: Path) -> str:
    """Return the answer identity of the journal that was written last, or nothing.

    Raises:
        OSError: a file cannot be read.
    """
    for path in reversed(files_of(folder)):
        file = os.open(path, os.O_RDONLY)
        try:
            identity, start = records.read_header(file)
        finally:
            os.close(file)
        if start:
            return identity
    return ""


def used(folder: Path, identity: str) -> Iterator[tuple[bytes, int, Answer | None]]:
    """Yield key, occurrence and answer of each one of *identity* that the last harness asked for.

    All answers of a key follow each other. An answer that cannot be read is None.

    Raises:
        OSError: a file cannot be read.
    """
    files: list[int] = []
    try:
        index = _indexed(folder, identity, files)
        left = unused.read(folder, identity)
        for key, occurrence, place in index.items():
            if (key, occurrence) in left:
                continue
            try:
                answer = records.read(files[place >> 48], place & ((1 << 48) - 1))
            except (ValueError, struct.error, RecursionError):
                yield key, occurrence, None
            else:
                yield key, occurrence, answer
    finally:
        for file in files:
            os.close(file)


def _indexed(folder: Path, identity: str, files: list[int]) -> Index:
    """Return the places of the answers of *identity* in a journal, and add its files to *files*.

    Raises:
        OSError: a file cannot be read.
    """
    index = Index()
    for path in files_of(folder):
        file = os.open(path, os.O_RDONLY)
        files.append(file)
        found, start = records.read_header(file)
        for mark, key, occurrence, offset in (
            records.scan(file, start) if start and found == identity else ()
        ):
            if mark == records.ANSWER:
                index.put(key, occurrence, (len(files) - 1) << 48 | offset)
            elif mark == records.DROPPED:
                index.drop(key, occurrence)
    return index


def last_delivered(directory: Path) -> dict[str, set[tuple[bytes, int]]]:
    """Return the answers that the harness received last, by upstream; occurrences are from 0."""
    try:
        data = json.loads((directory / "summary.json").read_text(encoding="utf-8"))
        parts = data["upstreams"].items()
        return {name: {(bytes.fromhex(k), int(n)) for k, n in p["last"]} for name, p in parts}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def drop(directory: Path, which: str) -> int:
    """Drop *which* answers below an evaluation's ``requests/``; return how many.

    No gateway may have the journals open.

    Raises:
        OSError, JournalError: a journal cannot be read or written.
    """
    last = last_delivered(directory)
    chosen: Callable[[Stored], bool] = {
        ALL: lambda one: True,
        UNHEALTHY: lambda one: not one.is_healthy,
        LAST: lambda one: (one.key, one.occurrence) in last.get(one.upstream, ()),
    }[which]
    return drop_where(directory, chosen)


def drop_where(directory: Path, chosen: Callable[[Stored], bool]) -> int:
    """Drop *chosen* answers below an evaluation's ``requests/``; return how many.

    No gateway may have the journals open.

    Raises:
        OSError, JournalError: a journal cannot be read or written.
    """
    places: dict[tuple[str, str], list[tuple[bytes, int]]] = {}
    for one in stored(directory):
        if chosen(one):
            place = places.setdefault((one.upstream, one.identity), [])
            place.append((one.key, one.occurrence))
    return sum(
        asyncio.run(_drop(folder_of(directory, upstream), identity, found))
        for (upstream, identity), found in places.items()
    )


async def _drop(directory: Path, identity: str, found: Iterable[tuple[bytes, int]]) -> int:
    journal = Journal(directory, identity)
    try:
        return await journal.drop(found)
    finally:
        journal.close()
