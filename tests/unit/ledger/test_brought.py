"""The note of files that came from another run, and answers that this run did not pay."""

from __future__ import annotations

import asyncio
from pathlib import Path

from snakeval.ledger import brought
from snakeval.ledger.borrowed import borrow
from snakeval.ledger.journal import Journal, files_of
from snakeval.ledger.records import Answer

KEY = b"k" * 16


def keep(directory: Path, *occurrences: int) -> None:
    async def write() -> None:
        journal = Journal(directory, "identity")
        for occurrence in occurrences:
            await journal.append(KEY, occurrence, Answer({"headers": []}, b"", b"{}"))
        journal.close()

    asyncio.run(write())


def free(directory: Path) -> list[bool]:
    journal = Journal(directory, "identity")
    found = [journal.is_free(KEY, occurrence) for occurrence in range(3)]
    journal.close()
    return found


def test_answers_in_files_of_another_run_are_free(tmp_path: Path) -> None:
    keep(tmp_path, 0)
    assert brought.read(tmp_path) == frozenset()
    assert free(tmp_path) == [False] * 3
    brought.note(tmp_path, [path.name for path in files_of(tmp_path)])
    keep(tmp_path, 1)
    assert brought.read(tmp_path) == {"0001.journal"}
    assert free(tmp_path) == [True, False, False]
    keep(tmp_path, 0)
    assert free(tmp_path) == [False] * 3, "it was asked again"


def test_copies_of_the_answers_of_another_run_are_free(tmp_path: Path) -> None:
    keep(tmp_path / "other", 0, 1)
    keep(tmp_path / "own", 0)
    borrow(tmp_path / "own", "identity", [tmp_path / "other"])
    assert free(tmp_path / "own") == [False, True, True]
