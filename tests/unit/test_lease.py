"""Tests that an evaluation has at most one live attempt.

Long because the tests of one module are in one file, and this module has many cases.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from snakeval import processes
from snakeval.files import reading
from snakeval.lease import Holder, Lease, LeaseLost
from snakeval.processes import ProcessIdentity, process_lives
from support.limits import HUNG

QUICK = {"heartbeat": 0.05, "stale": 0.5}


def holder(**other: object) -> str:
    return json.dumps({"id": "x", "host": "elsewhere", "pid": 1, "start": "1", "beat": 0} | other)


def test_a_lease_exists_only_while_the_work_lasts(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    with Lease(path, **QUICK) as lease:
        assert lease.acquired
        assert json.loads(path.read_text())["host"] == socket.gethostname()
    assert list(tmp_path.iterdir()) == []


def test_a_second_attempt_waits_for_a_live_holder_and_skips_finished_work(tmp_path: Path) -> None:
    path, work, done = tmp_path / "lease", threading.Event(), threading.Event()
    waiting = threading.Event()

    def first() -> None:
        with Lease(path, **QUICK):
            work.set()
            waiting.wait(30)
            done.set()

    thread = threading.Thread(target=first)
    thread.start()
    work.wait(30)
    second = Lease(path, done=done.is_set, waiting=lambda owner: waiting.set(), **QUICK)
    with second:
        assert not second.acquired
    thread.join()


def test_only_one_of_many_attempts_holds_the_lease_at_a_time(tmp_path: Path) -> None:
    holding, most, turns = 0, 0, 0
    guard = threading.Lock()

    def work() -> None:
        nonlocal holding, most, turns
        with Lease(tmp_path / "lease", heartbeat=0.01, stale=30):
            with guard:
                holding, turns = holding + 1, turns + 1
                most = max(most, holding)
            threading.Event().wait(0.01)
            with guard:
                holding -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (turns, most) == (8, 1)


def test_an_attempt_takes_over_from_a_dead_holder_of_this_host_at_once(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    path = tmp_path / "lease"
    path.write_text(holder(host=socket.gethostname(), pid=child.pid))
    with Lease(path, heartbeat=0.05, stale=10**6) as lease:
        assert lease.acquired


def test_only_one_of_many_takers_of_a_dead_lease_holds_it_at_a_time(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    guard, start = threading.Lock(), threading.Barrier(8)
    path, holding, most, turns = tmp_path / "lease", 0, 0, 0

    def take() -> None:
        nonlocal holding, most, turns
        start.wait()
        with Lease(path, heartbeat=0.005, stale=30):
            with guard:
                holding, turns = holding + 1, turns + 1
                most = max(most, holding)
            threading.Event().wait(0.002)
            with guard:
                holding -= 1

    for _ in range(20):  # one round in nine used to lose the race that this test is about
        path.write_text(holder(host=socket.gethostname(), pid=child.pid))
        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (turns, most) == (160, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_taker_that_died_does_not_block_others(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    for name in ("lease", "lease.taker"):
        (tmp_path / name).write_text(holder(host=socket.gethostname(), pid=child.pid))
    with Lease(tmp_path / "lease", heartbeat=0.05, stale=10**6) as lease:
        assert lease.acquired
    assert list(tmp_path.iterdir()) == []


def test_only_one_of_many_processes_that_take_a_dead_lease_writes_at_a_time(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from snakeval.lease import Lease\n"
        "place = pathlib.Path(sys.argv[1])\n"
        "with Lease(place / 'lease', heartbeat=0.01, stale=30):\n"
        "    (place / 'work').mkdir()\n"  # fails while another process works
        "    (place / 'work').rmdir()\n"
    )
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / "lease").write_text(holder(host=socket.gethostname(), pid=dead.pid))
    workers = [subprocess.Popen([sys.executable, "-c", code, tmp_path]) for _ in range(6)]
    assert [worker.wait(HUNG) for worker in workers] == [0] * 6


def test_a_holder_whose_pid_another_process_reuses_is_dead(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    path.write_text(holder(host=socket.gethostname(), pid=1, start="not its start"))
    with Lease(path, heartbeat=0.05, stale=10**6) as lease:
        assert lease.acquired


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert child.stdout
    child.stdout.read()  # the child ends, and its parent has not read its exit code
    while process_lives(child.pid):
        pass
    assert child.poll() == 0


def test_a_holder_on_another_host_is_stale_if_its_counter_does_not_change(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    path.write_text(holder())
    told: list[str] = []
    with Lease(path, waiting=told.append, **QUICK) as lease:
        assert lease.acquired
    assert told == ["process 1 on elsewhere"]


def test_a_holder_notices_that_another_attempt_took_the_lease(tmp_path: Path) -> None:
    path, lost = tmp_path / "lease", threading.Event()
    with Lease(path, lost=lost.set, **QUICK):
        path.write_text(holder())
        assert lost.wait(HUNG)
    assert path.read_text() == holder(), "the other holder's lease remains"


# --- who can be seen ----------------------------------------------------------------------------


def of_this_process(**other: object) -> str:
    me = ProcessIdentity.of(os.getpid())
    mine = {"boot": me.boot, "namespace": me.namespace, "pid": me.pid, "start": me.start}
    return holder(host=me.host, **(mine | other))


@pytest.mark.parametrize("strange", ["boot", "namespace"])
def test_a_holder_that_cannot_be_seen_is_not_dead(tmp_path: Path, strange: str) -> None:
    """The same host name, and a pid that no process has here."""
    text = of_this_process(**{strange: "another", "pid": 2**22 - 1})
    assert Holder.read(text).lives is None
    path, beat, told = tmp_path / "lease", 0, threading.Event()
    path.write_text(text)
    stop = threading.Event()

    def renew() -> None:
        nonlocal beat
        while not stop.wait(0.02):
            beat += 1
            draft = path.with_name("draft")
            draft.write_text(json.dumps(json.loads(text) | {"beat": beat}))
            draft.replace(path)

    thread = threading.Thread(target=renew)
    thread.start()
    waiter = Lease(
        path, heartbeat=0.02, stale=1.0, done=lambda: beat > 100, waiting=lambda who: told.set()
    )
    with waiter:
        assert not waiter.acquired, "a live holder lost its lease"
    stop.set()
    thread.join()
    assert told.is_set()


def test_a_process_that_is_hidden_may_live(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with `hidepid=2`: a signal is forbidden, and /proc does not show the process."""

    def forbidden(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", forbidden)
    monkeypatch.setattr(processes, "start_time", lambda pid: "")
    identity = ProcessIdentity.of(os.getpid())
    hidden = ProcessIdentity(identity.host, 4711, "12", identity.boot, identity.namespace)
    assert hidden.lives is None
    assert process_lives(4711, "12"), "unknown is not dead"


def test_a_process_that_ends_between_two_questions_is_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is there for a signal, and gone when its start is read."""
    answers = iter([None, ProcessLookupError()])

    def kill(pid: int, number: int) -> None:
        if (answer := next(answers)) is not None:
            raise answer

    monkeypatch.setattr(os, "kill", kill)
    monkeypatch.setattr(processes, "start_time", lambda pid: "")
    assert not process_lives(4711, "12")


@pytest.mark.parametrize("pid", [0, -1, -4711, 2**70])
def test_a_pid_that_no_process_has_is_dead(pid: int) -> None:
    assert not process_lives(pid)


def test_the_holder_of_a_lease_identifies_itself(tmp_path: Path) -> None:
    with Lease(tmp_path / "lease", **QUICK) as lease:
        found = Holder.read((tmp_path / "lease").read_text())
        assert found.process == ProcessIdentity.of(os.getpid())
        assert (found.id, found.lives) == (lease.id, True)


# --- damage and file systems --------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x81", b"[1]", b"null", b'{"pid": 1}', b"[" * 9999]
)
def test_a_damaged_lease_is_replaced_after_its_stale_time(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lease"
    path.write_bytes(content)
    since = time.monotonic()
    with Lease(path, heartbeat=0.02, stale=0.2) as lease:
        assert lease.acquired
        assert time.monotonic() - since >= 0.2, "its holder may live"
        lease.check()
    assert "is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["directory", "link", "loop", "pipe"])
def test_what_is_no_file_in_the_place_of_a_lease_is_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "lease"
    match kind:
        case "directory":
            (path / "kept").mkdir(parents=True)
        case "link":
            path.symlink_to("nothing")
        case "loop":
            path.symlink_to(path.name)
        case _:
            os.mkfifo(path)
    with Lease(path, heartbeat=0.02, stale=0.2) as lease:
        assert lease.acquired
        lease.check()


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK])
def test_a_file_system_without_hard_links_has_leases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def link(*paths: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)
    path = tmp_path / "lease"
    with Lease(path, **QUICK) as lease:
        assert lease.acquired
        other = Lease(path, done=lambda: told.is_set(), waiting=lambda who: told.set(), **QUICK)
        told = threading.Event()
        with other:
            assert not other.acquired
    assert list(tmp_path.iterdir()) == []


def test_a_lease_whose_file_the_server_replaced_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = os.open, [2]

    def stale(path: object, *arguments: object, **options: object) -> int:
        if left[0] and str(path).endswith("lease"):
            left[0] -= 1
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return real(path, *arguments, **options)  # type: ignore[arg-type]

    with Lease(tmp_path / "lease", heartbeat=10, stale=30) as lease:
        monkeypatch.setattr(reading.os, "open", stale)
        lease.check()
        assert left == [0]


# --- a suspended holder, and a file server that stalls ------------------------------------------


class Clock:
    """A clock that a test sets forward."""

    def __init__(self) -> None:
        self.offset = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.offset


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + HUNG
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_a_holder_that_was_suspended_stops_its_work_first(tmp_path: Path) -> None:
    clock, lost = Clock(), threading.Event()
    with Lease(tmp_path / "lease", lost=lost.set, awake=clock, **QUICK) as lease:
        clock.offset = 10
        assert lost.wait(HUNG)
        with pytest.raises(LeaseLost):
            lease.check()


def test_a_holder_whose_lease_was_taken_over_may_not_publish(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    with Lease(path, heartbeat=60, stale=600) as lease:
        lease.check()
        path.unlink()
        path.write_text(holder())
        with pytest.raises(LeaseLost):
            lease.check()
    assert path.read_text() == holder(), "the lease of the other one was removed"


def test_a_beat_never_replaces_the_lease_of_another_process(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    with Lease(path, heartbeat=60, stale=600) as lease:
        path.unlink()
        path.write_text(holder())
        assert not lease._beat(1)
        assert path.read_text() == holder()


def test_a_stalled_file_server_makes_no_live_holder_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every open of the lease blocks for longer than its stale time, for holder and waiter."""
    path, real = tmp_path / "lease", os.open
    free, lost = threading.Event(), threading.Event()
    free.set()

    def opened(name: object, *arguments: object, **options: object) -> int:
        if "lease" in str(name):
            free.wait(20)
        return real(name, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "fsync", lambda file: None)  # a busy disk would be a second stall
    quick = {"heartbeat": 0.05, "stale": 1.0}
    with Lease(path, lost=lost.set, **quick):
        ended, waits = threading.Event(), threading.Event()
        waiter = Lease(path, done=ended.is_set, waiting=lambda who: waits.set(), **quick)

        def wait() -> None:
            with waiter:
                pass

        thread = threading.Thread(target=wait)
        thread.start()
        assert waits.wait(HUNG)
        free.clear()
        time.sleep(1.5)
        free.set()
        time.sleep(0.5)
        assert not lost.is_set()
        assert not waiter.acquired
        ended.set()
        thread.join()


def test_a_look_that_took_long_counts_no_longer_than_two_pauses(tmp_path: Path) -> None:
    path, looks = tmp_path / "lease", [0.0]
    path.write_text(holder())

    def clock() -> float:
        looks.append(looks[-1] + 100)
        return looks[-1]

    def is_done() -> bool:
        return len(looks) > 6

    with Lease(path, done=is_done, heartbeat=0.01, stale=10, clock=clock) as waiter:
        assert not waiter.acquired
    assert path.read_text() == holder()


def test_a_renewal_needs_no_room_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lease"
    with Lease(path, heartbeat=0.02, stale=30):
        before, size = path.read_bytes(), path.stat().st_size

        def full(*arguments: object, **options: object) -> None:
            raise OSError(errno.ENOSPC, "full")

        monkeypatch.setattr(Path, "write_text", full)
        wait_until(lambda: path.read_bytes() != before)
        assert path.stat().st_size == size
