"""The watch over a server that serves: which answers, signals and listeners are a break."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from threading import Event

import pytest

from snakeval.serving.probe import Health
from snakeval.serving.vigil import REPLACED, SUSPENDED, Vigil, _is_frozen

WELL, WRONG, SILENT = Health(), Health("answers HTTP 500"), Health("no answer", silent=True)
#: Listens at a port that it prints, until the end of its input.
LISTENS = (
    "import socket, sys; s = socket.create_server(('127.0.0.1', 0));"
    "print(s.getsockname()[1], flush=True); sys.stdin.read()"
)


def watched(answers: Iterable[Health], port: int = 0) -> list[str]:
    """Return the breaks that a vigil notices while the server's health is *answers*."""
    ended, left, breaks = Event(), [*answers], list[str]()

    def examine(seconds: float) -> Health:
        if len(left) == 1:
            ended.set()
        return left.pop(0)

    Vigil(examine, port, 0.001).watch(ended, breaks.append)
    return breaks


@pytest.mark.parametrize(
    ("answers", "breaks"),
    [
        ([WELL, WELL], 0),
        ([WELL, WRONG, WELL, WRONG, WELL], 0),
        ([SILENT] * 10, 0),
        ([WRONG, SILENT, WRONG, SILENT], 0),
        ([WRONG, WRONG, WELL], 1),
        ([WRONG] * 10, 1),
        ([WRONG, WRONG, WELL, WRONG, WRONG], 2),
    ],
)
def test_two_wrong_answers_in_a_row_are_one_break(answers: list[Health], breaks: int) -> None:
    assert watched(answers) == ["answers HTTP 500"] * breaks


def test_a_new_listener_at_the_port_is_a_break_and_a_further_one_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        vigil = Vigil(lambda seconds: WELL, port, 1)
        assert not vigil.is_replaced()
        with socket.create_server(("127.0.0.2", port)):  # such as a worker of the server
            assert not vigil.is_replaced()
    assert not vigil.is_replaced(), "nothing listens"
    with socket.create_server(("127.0.0.1", port)):
        assert vigil.is_replaced()
        assert not vigil.is_replaced(), "it is known now"
        assert watched([WELL], port) == []


def test_a_suspended_process_of_the_server_is_a_break() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LISTENS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        port = int(process.stdout.readline())
        vigil = Vigil(lambda seconds: WELL, port, 1)
        assert not vigil.is_suspended()
        os.kill(process.pid, signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        assert vigil.is_suspended()
        assert watched([SILENT], port) == [SUSPENDED]
        os.kill(process.pid, signal.SIGCONT)
        process.communicate()
    assert not vigil.is_suspended()


def test_a_server_on_another_machine_has_no_listener_here() -> None:
    vigil = Vigil(lambda seconds: WELL, 0, 1)
    assert (vigil.is_suspended(), vigil.is_replaced()) == (False, False)
    assert REPLACED not in watched([WELL, WELL])


@pytest.mark.parametrize(
    ("lines", "file", "content", "frozen"),
    [
        ("0::/docker/x", "docker/x/cgroup.events", "populated 1\nfrozen 1\n", True),
        ("0::/docker/x", "docker/x/cgroup.events", "populated 1\nfrozen 0\n", False),
        ("0::/\n7:freezer:/docker/x", "freezer/docker/x/freezer.state", "FROZEN\n", True),
        ("0::/\n7:freezer:/docker/x", "freezer/docker/x/freezer.state", "THAWED\n", False),
        ("0::/", "docker/x/cgroup.events", "frozen 1", False),
        ("damaged", "docker/x/cgroup.events", "frozen 1", False),
    ],
)
def test_a_paused_container_is_a_frozen_group(
    tmp_path: Path, lines: str, file: str, content: str, frozen: bool
) -> None:
    (tmp_path / "proc/7").mkdir(parents=True)
    (tmp_path / "proc/7/cgroup").write_text(lines)
    (tmp_path / "groups" / file).parent.mkdir(parents=True)
    (tmp_path / "groups" / file).write_text(content)
    assert _is_frozen(7, tmp_path / "groups", tmp_path / "proc") is frozen
    assert not _is_frozen(8, tmp_path / "groups", tmp_path / "proc")
