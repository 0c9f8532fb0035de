"""Tests share a bed, and who changes it waits for all of them and lets no other one enter."""

from __future__ import annotations

import fcntl
import tempfile
import threading
from pathlib import Path

import pytest

from support.bed_lock import BedLock
from support.served import wait_for


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def is_held(path: Path) -> bool:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_who_is_alone_waits_for_those_who_share(place: Path) -> None:
    happened: list[str] = []

    def change() -> None:
        with BedLock("b")(alone=True):
            happened.append("changed")

    thread = threading.Thread(target=change)
    with BedLock("b")(), BedLock("b")():
        thread.start()
        wait_for(lambda: is_held(place / "snakeval-testbed-b.gate"), "nobody waits at the gate")
        happened.append("left")
    thread.join()
    assert happened == ["left", "changed"]
    assert not is_held(place / "snakeval-testbed-b.lock")


def test_a_fixture_of_several_tests_holds_the_lock_around_theirs(place: Path) -> None:
    bed = BedLock("b")
    lock = place / "snakeval-testbed-b.lock"
    with bed():
        with bed():
            pass
        assert is_held(lock)
        with pytest.raises(RuntimeError, match="already shares the bed"), bed(alone=True):
            pass
    assert not is_held(lock)


def test_the_lock_is_held_until_the_last_holder_leaves(place: Path) -> None:
    bed = BedLock("b")
    lock = place / "snakeval-testbed-b.lock"
    first, second = bed(), bed()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert is_held(lock)
    second.__exit__(None, None, None)
    assert not is_held(lock)
