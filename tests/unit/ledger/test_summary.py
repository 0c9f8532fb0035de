"""Tests of the heartbeat, which says whether a gateway lives."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from snakeval.ledger import summary
from snakeval.ledger.summary import Heartbeat, lives, lives_here, wait_for_end, write


def test_a_summary_replaces_the_one_before_at_once(tmp_path: Path) -> None:
    for number in range(2):
        write(tmp_path / "summary.json", {"requests": number})
        assert json.loads((tmp_path / "summary.json").read_text()) == {"requests": number}
    assert len(list(tmp_path.iterdir())) == 1


def test_only_one_gateway_of_an_evaluation_lives(tmp_path: Path) -> None:
    heartbeat = Heartbeat(tmp_path / "gateway")
    with pytest.raises(BlockingIOError):
        Heartbeat(tmp_path / "gateway")
    assert lives(tmp_path / "gateway")
    heartbeat.close()
    assert not lives(tmp_path / "gateway")


@pytest.fixture
def beating(tmp_path: Path) -> subprocess.Popen[bytes]:
    script = (
        "import sys, time, pathlib\n"
        "from snakeval.ledger.summary import Heartbeat\n"
        "heartbeat = Heartbeat(pathlib.Path(sys.argv[1]))\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    time.sleep(0.05)\n"
        "    heartbeat.beat()\n"
    )
    argv = [sys.executable, "-c", script, str(tmp_path / "gateway")]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_killed_gateway_is_not_waited_for(
    tmp_path: Path, beating: subprocess.Popen[bytes]
) -> None:
    assert lives(tmp_path / "gateway")
    beating.kill()
    beating.communicate()
    assert not wait_for_end(tmp_path / "gateway", lambda _: pytest.fail("it waits"), stale=60)
    assert not (tmp_path / "gateway").exists()


def test_a_gateway_that_lives_is_waited_for(
    tmp_path: Path, beating: subprocess.Popen[bytes]
) -> None:
    pauses = 0

    def pause(seconds: float) -> None:
        nonlocal pauses
        pauses += 1
        time.sleep(seconds)
        if pauses == 5:
            beating.kill()
            beating.communicate()

    assert wait_for_end(tmp_path / "gateway", pause, stale=60)
    assert pauses >= 5


def test_a_gateway_that_stopped_beating_is_not_waited_for(
    tmp_path: Path, beating: subprocess.Popen[bytes]
) -> None:
    os.kill(beating.pid, signal.SIGSTOP)
    try:
        assert wait_for_end(tmp_path / "gateway", time.sleep, stale=0.5)
    finally:
        beating.kill()
        beating.communicate()


def test_a_gateway_of_another_machine_is_judged_by_its_beats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat, now = 0, 0.0
    monkeypatch.setattr(summary, "time", SimpleNamespace(monotonic=lambda: now))

    def text() -> str:
        return json.dumps({"beat": beat, "boot": "of another machine"})

    def pause(seconds: float) -> None:
        nonlocal beat, now
        now += seconds
        if beat < 20:
            beat += 1
            (tmp_path / "gateway").write_text(text())

    (tmp_path / "gateway").write_text(text())
    assert wait_for_end(tmp_path / "gateway", pause, stale=0.4)
    assert beat == 20


@pytest.fixture(params=[errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(file: int, how: int) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(summary.fcntl, "flock", flock)


def test_without_locks_the_process_says_whether_a_gateway_lives(
    tmp_path: Path, beating: subprocess.Popen[bytes], no_locks: None
) -> None:
    place = tmp_path / "gateway"
    assert lives_here(place) == beating.pid
    with pytest.raises(BlockingIOError):
        Heartbeat(place)
    beating.kill()
    beating.communicate()
    assert place.exists()
    assert lives_here(place) is None
    assert not wait_for_end(place, no_wait)
    Heartbeat(place).close()
    assert not place.exists()


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({}, True),
        ({"start": "1"}, False),  # its number is that of another process now
        ({"namespace": "pid:[1]"}, None),  # only its beats say whether it lives
        ({"boot": "another"}, None),
    ],
)
def test_without_locks_a_process_counts_only_if_it_is_the_same(
    tmp_path: Path, no_locks: None, changes: dict[str, str], seen: bool | None
) -> None:
    place = tmp_path / "gateway"
    heartbeat = Heartbeat(place)
    place.write_text(json.dumps(json.loads(place.read_text()) | changes))
    assert bool(lives(place)) is (seen is not False)
    assert lives_here(place) == (os.getpid() if seen else None)
    heartbeat.close()


def no_wait(seconds: float) -> None:
    raise AssertionError("no gateway lives")


def test_a_gateway_that_counted_as_dead_leaves_the_file_of_its_successor(tmp_path: Path) -> None:
    first = Heartbeat(tmp_path / "gateway")
    (tmp_path / "gateway").unlink()
    second = Heartbeat(tmp_path / "gateway")
    first.close()
    assert lives(tmp_path / "gateway")
    second.close()
    assert not (tmp_path / "gateway").exists()
