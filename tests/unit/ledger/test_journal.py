"""Tests that the journal returns exactly what it kept, whatever broke its files."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snakeval.ledger import records
from snakeval.ledger.journal import Journal, JournalError, files_of
from snakeval.ledger.records import Answer

KEYS = [bytes([number]) * 16 for number in range(4)]


def answer(text: str) -> Answer:
    return Answer({"status": 200, "headers": []}, b'{"seed": 1}', text.encode())


def text(journal: Journal, key: bytes, occurrence: int) -> str | None:
    found = journal.find(key, occurrence)
    return None if found is None else found.response.decode()


def keep(directory: Path, *answers: tuple[bytes, int, str]) -> Path:
    """Keep answers by a process of their own."""

    async def write() -> None:
        journal = Journal(directory, "identity")
        for key, occurrence, response in answers:
            await journal.append(key, occurrence, answer(response))
        journal.close()

    asyncio.run(write())
    return directory


def test_the_next_attempt_finds_each_answer_in_its_slot(tmp_path: Path) -> None:
    keep(tmp_path, (KEYS[0], 2, "third"), (KEYS[0], 0, "first"), (KEYS[1], 0, "other"))
    journal = Journal(tmp_path, "identity")
    assert [text(journal, KEYS[0], slot) for slot in range(4)] == ["first", None, "third", None]
    assert text(journal, KEYS[1], 0) == "other"
    assert journal.kept == 3


def test_each_process_writes_a_file_of_its_own(tmp_path: Path) -> None:
    keep(tmp_path, (KEYS[0], 0, "first attempt"))
    keep(tmp_path, (KEYS[0], 1, "second attempt"))
    assert [path.name for path in files_of(tmp_path)] == ["0001.journal", "0002.journal"]
    journal = Journal(tmp_path, "identity")
    assert [text(journal, KEYS[0], slot) for slot in (0, 1)] == ["first attempt", "second attempt"]


def test_a_process_that_kept_nothing_leaves_no_file(tmp_path: Path) -> None:
    keep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_identity_never_reads_the_answers(tmp_path: Path) -> None:
    keep(tmp_path, (KEYS[0], 0, "of other weights"))
    journal = Journal(tmp_path, "another identity")
    assert text(journal, KEYS[0], 0) is None
    assert journal.kept == 0


def test_a_file_that_is_cut_anywhere_keeps_all_whole_records_before_the_cut(
    tmp_path: Path,
) -> None:
    keep(tmp_path, (KEYS[0], 0, "a"), (KEYS[1], 0, "b"), (KEYS[2], 0, "c"))
    path = files_of(tmp_path)[0]
    content = path.read_bytes()
    file = os.open(path, os.O_RDONLY)
    starts = [offset for _, _, _, offset in records.scan(file, records.read_header(file)[1])]
    os.close(file)
    ends = [*starts[1:], len(content)]
    for cut in range(len(content)):
        path.write_bytes(content[:cut])
        journal = Journal(tmp_path, "identity")
        whole = sum(end <= cut for end in ends)
        assert [text(journal, key, 0) for key in KEYS[:3]] == (
            ["a", "b", "c"][:whole] + [None] * 3
        )[:3]
        journal.close()


@settings(max_examples=40)  # each writes to the disk
@given(st.data())
def test_a_flipped_bit_never_changes_an_answer(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = keep(Path(name), *((key, 0, f"answer {key[0]}") for key in KEYS))
        path = files_of(directory)[0]
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)
        journal = Journal(directory, "identity")
        for key in KEYS:
            assert text(journal, key, 0) in (None, f"answer {key[0]}")
        journal.close()


def test_zeros_behind_the_last_record_end_a_file_of_a_killed_process(tmp_path: Path) -> None:
    keep(tmp_path, (KEYS[0], 0, "a"))
    with files_of(tmp_path)[0].open("ab") as file:
        file.write(bytes(100_000))
    journal = Journal(tmp_path, "identity")
    assert (text(journal, KEYS[0], 0), journal.kept) == ("a", 1)


@pytest.mark.parametrize("content", [b"", b"x" * 100, records.MAGIC, records.MAGIC + b"\xff" * 9])
def test_a_file_that_is_no_journal_is_skipped(tmp_path: Path, content: bytes) -> None:
    keep(tmp_path, (KEYS[0], 0, "a"))
    (tmp_path / "0002.journal").write_bytes(content)
    (tmp_path / "copy of 0001.journal").write_bytes(b"?")
    journal = Journal(tmp_path, "identity")
    assert text(journal, KEYS[0], 0) == "a"


def test_a_record_larger_than_the_window_of_a_reader_is_whole(tmp_path: Path) -> None:
    large = os.urandom(6 << 20).hex()
    keep(tmp_path, (KEYS[0], 0, "before"), (KEYS[1], 0, large), (KEYS[2], 0, "behind"))
    journal = Journal(tmp_path, "identity")
    assert [text(journal, key, 0) for key in KEYS[:3]] == ["before", large, "behind"]


def test_answers_that_come_together_are_each_in_their_place(tmp_path: Path) -> None:
    async def write() -> None:
        journal = Journal(tmp_path, "identity")
        await asyncio.gather(
            *(journal.append(KEYS[0], slot, answer(f"{slot}" * slot)) for slot in range(200))
        )
        assert all(text(journal, KEYS[0], slot) == f"{slot}" * slot for slot in range(200))
        journal.close()

    asyncio.run(write())
    journal = Journal(tmp_path, "identity")
    assert all(text(journal, KEYS[0], slot) == f"{slot}" * slot for slot in range(200))


def test_a_dropped_answer_is_gone_until_it_is_kept_again(tmp_path: Path) -> None:
    async def drop() -> int:
        journal = Journal(tmp_path, "identity")
        dropped = await journal.drop([(KEYS[0], 0), (KEYS[0], 0), (KEYS[3], 0)])
        assert (text(journal, KEYS[0], 0), text(journal, KEYS[0], 1)) == (None, "b")
        journal.close()
        return dropped

    keep(tmp_path, (KEYS[0], 0, "a"), (KEYS[0], 1, "b"))
    asyncio.run(drop())
    assert Journal(tmp_path, "identity").kept == 1
    keep(tmp_path, (KEYS[0], 0, "new"))
    journal = Journal(tmp_path, "identity")
    assert [text(journal, KEYS[0], slot) for slot in (0, 1)] == ["new", "b"]


def test_of_a_list_of_models_only_the_latest_answer_counts(tmp_path: Path) -> None:
    async def write() -> None:
        journal = Journal(tmp_path, "identity")
        for response in ("one", "one", "two"):
            await journal.append_latest(KEYS[0], answer(response))
        journal.close()

    asyncio.run(write())
    journal = Journal(tmp_path, "identity")
    found = journal.latest(KEYS[0])
    assert found is not None
    assert found.response == b"two"
    assert journal.kept == 0
    size = files_of(tmp_path)[0].stat().st_size
    asyncio.run(write())
    assert files_of(tmp_path)[1].stat().st_size < 2 * size


def test_after_a_failed_write_no_answer_is_kept_any_more(tmp_path: Path) -> None:
    async def write() -> None:
        (tmp_path / "file").write_text("in the way")
        journal = Journal(tmp_path / "file" / "journal", "identity")
        for _ in range(2):
            with pytest.raises(JournalError, match="cannot be written"):
                await journal.append(KEYS[0], 0, answer("a"))
        assert text(journal, KEYS[0], 0) is None
        journal.close()

    asyncio.run(write())
