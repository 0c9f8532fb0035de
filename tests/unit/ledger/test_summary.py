"""Tests of the heartbeat, which says whether a gateway lives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from snakeval.ledger.summary import Heartbeat, lives, wait_for_end, write


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
    began = time.monotonic()
    assert not wait_for_end(tmp_path / "gateway", time.sleep, stale=60)
    assert time.monotonic() - began < 5
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


def test_a_gateway_of_another_machine_is_judged_by_its_beats(tmp_path: Path) -> None:
    beat = 0

    def text() -> str:
        return json.dumps({"beat": beat, "boot": "of another machine"})

    def pause(seconds: float) -> None:
        nonlocal beat
        time.sleep(0.05)
        if beat < 20:
            beat += 1
            (tmp_path / "gateway").write_text(text())

    (tmp_path / "gateway").write_text(text())
    assert wait_for_end(tmp_path / "gateway", pause, stale=0.4)
    assert beat == 20
