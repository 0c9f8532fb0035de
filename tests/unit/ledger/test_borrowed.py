"""Tests that a journal copies the answers of others once, in their order, and whole."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snakeval.ledger.borrowed import borrow
from snakeval.ledger.journal import Journal, files_of
from snakeval.ledger.records import REFUSAL, Answer

KEYS = [bytes([number]) * 16 for number in range(4)]


def answer(text: str) -> Answer:
    return Answer({"status": 200, "headers": []}, b'{"seed": 1}', text.encode())


def keep(
    directory: Path,
    *answers: tuple[bytes, int, str],
    dropped: tuple[tuple[bytes, int], ...] = (),
    identity: str = "identity",
) -> Path:
    async def write() -> None:
        journal = Journal(directory, identity)
        for key, occurrence, response in answers:
            await journal.append(key, occurrence, answer(response))
        await journal.drop(dropped)
        journal.close()

    asyncio.run(write())
    return directory


def texts(directory: Path, key: bytes) -> list[str]:
    """Return the answers of a key up to the first gap."""
    journal = Journal(directory, "identity")
    found: list[str] = []
    while one := journal.find(key, len(found)):
        found.append(one.response.decode())
    journal.close()
    return found


def test_the_answers_of_others_follow_those_that_are_there(tmp_path: Path) -> None:
    first = keep(tmp_path / "a", (KEYS[0], 0, "a0"), (KEYS[0], 1, "a1"), (KEYS[1], 0, "a"))
    second = keep(tmp_path / "b", (KEYS[0], 0, "b0"), (KEYS[2], 0, "b"))
    own = keep(tmp_path / "c", (KEYS[0], 0, "c0"))
    assert borrow(own, "identity", [first, second]) == 5
    assert [texts(own, key) for key in KEYS] == [["c0", "a0", "a1", "b0"], ["a"], ["b"], []]
    assert borrow(own, "identity", [first, second]) == 0
    third = keep(tmp_path / "d", (KEYS[3], 0, "d"))
    assert borrow(own, "identity", [first, third]) == 1, "each journal answers once"
    assert texts(own, KEYS[3]) == ["d"]
    assert [path.name for path in files_of(own)] == [f"000{n}.journal" for n in (1, 2, 3)]
    assert len(files_of(first)) == len(files_of(second)) == 1, "the others do not change"


def test_a_copy_is_an_answer_that_can_be_dropped_and_asked_again(tmp_path: Path) -> None:
    first = keep(tmp_path / "a", (KEYS[0], 0, "a0"), (KEYS[0], 1, "a1"))
    own = tmp_path / "c"
    borrow(own, "identity", [first])
    keep(own, dropped=((KEYS[0], 0),))
    borrow(own, "identity", [first])
    assert texts(own, KEYS[0]) == [], "a dropped copy does not come back"
    keep(own, (KEYS[0], 0, "own"))
    assert texts(own, KEYS[0]) == ["own", "a1"]
    assert texts(first, KEYS[0]) == ["a0", "a1"]


def test_only_answers_of_the_same_identity_that_were_not_dropped_are_copied(tmp_path: Path) -> None:
    first = keep(tmp_path / "a", (KEYS[0], 0, "a0"), (KEYS[0], 1, "a1"), dropped=((KEYS[0], 0),))
    other = keep(tmp_path / "b", (KEYS[0], 0, "b0"), identity="other")
    own = tmp_path / "c"
    assert borrow(own, "identity", [other, tmp_path / "nothing"]) == 0
    assert not own.exists()
    assert borrow(own, "identity", [other, first]) == 1
    assert texts(own, KEYS[0]) == ["a1"]


def test_refusals_and_latest_answers_come_along_unless_there_are_own_ones(tmp_path: Path) -> None:
    async def write(directory: Path, word: str, *keys: bytes) -> None:
        journal = Journal(directory, "identity")
        for key in keys:
            await journal.append_refusal(key, answer(word))
            await journal.append_latest(key, answer(word))
        journal.close()

    asyncio.run(write(tmp_path / "a", "theirs", *KEYS[:3]))
    keep(tmp_path / "a", dropped=((KEYS[2], REFUSAL),))
    asyncio.run(write(tmp_path / "c", "own", KEYS[0]))
    assert borrow(tmp_path / "c", "identity", [tmp_path / "a"]) == 0, "no answer of a question"
    journal = Journal(tmp_path / "c", "identity")
    for find in (journal.refusal, journal.latest):
        found = [find(key) for key in KEYS[:2]]
        assert [one.response for one in found if one] == [b"own", b"theirs"]
    assert journal.refusal(KEYS[2]) is None
    assert journal.latest(KEYS[2]) is not None


def test_a_copy_that_was_interrupted_is_no_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, own = keep(tmp_path / "a", (KEYS[0], 0, "a0")), tmp_path / "c"

    def stop(*of: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", stop)
        with pytest.raises(OSError, match="full"):
            borrow(own, "identity", [first])
    assert files_of(own) == []
    assert borrow(own, "identity", [first]) == 1
    assert texts(own, KEYS[0]) == ["a0"]


@settings(max_examples=30)  # each writes to the disk
@given(
    st.lists(st.lists(st.tuples(st.sampled_from(KEYS), st.integers(0, 4)), unique=True), max_size=4)
)
def test_merged_journals_answer_in_their_order_and_without_gaps(
    parts: list[list[tuple[bytes, int]]],
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folders = [
            keep(Path(name) / str(number), *((k, o, f"{number}:{o}") for k, o in part))
            for number, part in enumerate(parts)
        ]
        own = Path(name) / "own"
        assert borrow(own, "identity", folders) == sum(map(len, parts))
        for key in KEYS:
            assert texts(own, key) == [
                f"{number}:{occurrence}"
                for number, part in enumerate(parts)
                for occurrence in sorted(o for k, o in part if k == key)
            ]
