"""At most one live attempt at an evaluation."""

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


def test_it_is_held_while_the_work_lasts_and_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    with Lease(path, **QUICK) as lease:
        assert lease.acquired
        assert json.loads(path.read_text())["host"] == socket.gethostname()
    assert list(tmp_path.iterdir()) == []


def test_a_second_waits_for_a_live_holder_and_need_not_work_once_it_is_done(tmp_path: Path) -> None:
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


def test_of_many_at_once_one_holds_it_at_a_time(tmp_path: Path) -> None:
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


def test_a_dead_holder_of_this_host_is_taken_over_at_once(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    path = tmp_path / "lease"
    path.write_text(holder(host=socket.gethostname(), pid=child.pid))
    with Lease(path, heartbeat=0.05, stale=10**6) as lease:
        assert lease.acquired


def test_of_many_takers_of_a_dead_lease_one_holds_it_at_a_time(tmp_path: Path) -> None:
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

    for _ in range(20):  # the race that this is about was lost in every ninth round
        path.write_text(holder(host=socket.gethostname(), pid=child.pid))
        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (turns, most) == (160, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_taker_that_died_in_between_stops_nobody(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    for name in ("lease", "lease.taker"):
        (tmp_path / name).write_text(holder(host=socket.gethostname(), pid=child.pid))
    with Lease(tmp_path / "lease", heartbeat=0.05, stale=10**6) as lease:
        assert lease.acquired
    assert list(tmp_path.iterdir()) == []


def test_of_processes_that_take_a_dead_lease_one_writes_at_a_time(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from snakeval.lease import Lease\n"
        "place = pathlib.Path(sys.argv[1])\n"
        "with Lease(place / 'lease', heartbeat=0.01, stale=30):\n"
        "    (place / 'work').mkdir()\n"  # fails while another is at it
        "    (place / 'work').rmdir()\n"
    )
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / "lease").write_text(holder(host=socket.gethostname(), pid=dead.pid))
    workers = [subprocess.Popen([sys.executable, "-c", code, tmp_path]) for _ in range(6)]
    assert [worker.wait(60) for worker in workers] == [0] * 6


def test_a_pid_that_another_process_has_by_now_is_dead(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    path.write_text(holder(host=socket.gethostname(), pid=1, start="not its start"))
    with Lease(path, heartbeat=0.05, stale=10**6) as lease:
        assert lease.acquired


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert child.stdout
    child.stdout.read()  # it ends, and nobody has asked for its exit code
    while process_lives(child.pid):
        pass
    assert child.poll() == 0


def test_a_holder_elsewhere_is_stale_once_its_counter_stands_still(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    path.write_text(holder())
    told: list[str] = []
    with Lease(path, waiting=told.append, **QUICK) as lease:
        assert lease.acquired
    assert told == ["process 1 on elsewhere"]


def test_who_was_silent_for_too_long_is_told_that_another_has_it(tmp_path: Path) -> None:
    path, lost = tmp_path / "lease", threading.Event()
    with Lease(path, lost=lost.set, **QUICK):
        path.write_text(holder())
        assert lost.wait(30)
    assert path.read_text() == holder(), "the other's lease stays"
