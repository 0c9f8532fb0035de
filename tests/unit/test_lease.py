"""Tests that an evaluation has at most one live attempt."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

from snakeval.lease import Lease
from snakeval.processes import process_lives

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
    assert [worker.wait(60) for worker in workers] == [0] * 6


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
        assert lost.wait(30)
    assert path.read_text() == holder(), "the other holder's lease remains"
