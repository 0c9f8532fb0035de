"""Tests of the lock under which several processes append to one file."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from snakeval.ledger import locked as module
from snakeval.ledger.locked import locked


def no_locks(file: int, how: int) -> None:
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def flock(file: int, how: int) -> None:
    import fcntl

    fcntl.flock(file, how)


@pytest.mark.parametrize("lock", [flock, no_locks])
def test_one_at_a_time_has_the_lock(tmp_path: Path, lock: object) -> None:
    inside, most, path = [0], [0], tmp_path / "budget"

    def work() -> None:
        for _ in range(20):
            with locked(path, lock=lock) as file:  # type: ignore[arg-type]
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                os.write(file, b"line\n")
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert most == [1]
    assert path.read_bytes() == b"line\n" * 80
    assert [each.name for each in tmp_path.iterdir()] == ["budget"]


@pytest.mark.parametrize("lock", [flock, no_locks])
def test_a_lock_that_stays_is_an_error_in_the_end(tmp_path: Path, lock: object) -> None:
    now = [0.0]

    def pause(seconds: float) -> None:
        now[0] += 10
        for other in tmp_path.glob("*.lock"):  # its holder lives, and shows it
            other.write_text(str(now[0]))

    again = locked(tmp_path / "budget", pause=pause, clock=lambda: now[0], lock=lock)  # type: ignore[arg-type]
    with (
        locked(tmp_path / "budget", lock=lock),  # type: ignore[arg-type]
        pytest.raises(OSError, match="keeps its lock"),
        again,
    ):
        pass
    assert now[0] > module.PATIENCE


def test_the_file_of_a_dead_holder_is_broken(tmp_path: Path) -> None:
    now = [0.0]
    (tmp_path / "budget.lock").write_text("of a process that was killed")

    def pause(seconds: float) -> None:
        now[0] += 1

    with locked(tmp_path / "budget", pause=pause, clock=lambda: now[0], lock=no_locks):
        assert now[0] > module.STALE
    assert [each.name for each in tmp_path.iterdir()] == ["budget"]


def test_other_errors_are_errors(tmp_path: Path) -> None:
    def broken(file: int, how: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(OSError, match="Input/output"), locked(tmp_path / "budget", lock=broken):
        pass
