"""The address of the pool: of one process, and of one user."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from snakeval.errors import EvaluationError
from snakeval.serving import client, wire
from support.limits import HUNG
from support.machine import Machine, made, pool_here

_AS_ANOTHER = """\
import os, socket, sys, time
os.setuid(65534)
with socket.socket(socket.AF_UNIX) as made:
    address = bytes.fromhex(sys.argv[2])
    if sys.argv[1] == "listen":
        made.bind(address)
        made.listen()
        print("ready", flush=True)
        time.sleep(1800)
    made.connect(address)
    made.settimeout(60)
    try:
        print(made.recv(100), flush=True)
    except ConnectionResetError:
        print(b"", flush=True)
"""


def as_another(what: str) -> subprocess.Popen[str]:
    """Listen at the pool's address, or connect to it, as another user."""
    command = [sys.executable, "-c", _AS_ANOTHER, what, wire.address().encode().hex()]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    with made(tmp_path, monkeypatch) as machine:
        yield machine


def test_an_address_has_one_pool(machine: Machine) -> None:
    with pool_here():
        assert wire.listen() is None
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(wire.address())
            assert wire.peer(connection) == (os.getpid(), os.getuid())
    free = wire.listen()
    assert free is not None
    free.close()
    with pytest.raises(ConnectionRefusedError):
        wire.connect()


def test_each_home_and_each_slurm_job_has_an_address(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {wire.address()}
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    found.add(wire.address())
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "another"))
    found.add(wire.address())
    assert len(found) == 3
    assert all(address.startswith("\0snakeval-pool-") for address in found)


@pytest.mark.root
def test_another_user_at_the_address_is_no_pool(machine: Machine) -> None:
    machine.deploys("careful")
    with as_another("listen") as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        says = f"process {other.pid} of user 65534 has the address of your pool"
        with pytest.raises(EvaluationError, match=says):
            machine.serve("careful", stop=Event()).__enter__()
        assert client.status() is None
        assert client.leave(machine.head) == {}
        other.kill()


@pytest.mark.root
def test_the_pool_does_not_answer_another_user(machine: Machine) -> None:
    with pool_here(), as_another("connect") as other:
        assert other.communicate(timeout=HUNG)[0] == "b''\n"
        assert client.status() is not None


def test_open_files_come_with_a_message(tmp_path: Path) -> None:
    one, other = (wire.Channel(each) for each in socket.socketpair())
    (tmp_path / "file").write_text("hello")
    with (tmp_path / "file").open() as file:
        one.send({"a": "x" * 100_000}, [file.fileno()])
        one.send({"b": 2})
    assert other.receive(5) == {"a": "x" * 100_000}
    assert other.receive(5) == {"b": 2}
    (received,) = other.files
    with open(received) as file:  # noqa: PTH123
        assert file.read() == "hello"
    one.close()
    with pytest.raises(EOFError):
        other.receive(5)
    other.close()
