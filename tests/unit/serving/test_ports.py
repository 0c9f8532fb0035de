"""A port for a server, and who listens there."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from snakeval.serving import ports
from snakeval.serving.deployment import MARK
from snakeval.serving.ports import belongs_to_another, free_port, is_free, listener
from support.limits import HUNG

LISTEN = (
    "import socket, time; s = socket.create_server(('127.0.0.1', 0));"
    "print(s.getsockname()[1], flush=True); time.sleep(1800)"
)


def test_a_port_with_a_listener_is_not_free() -> None:
    for address in ("127.0.0.1", "127.0.0.2", "0.0.0.0"):
        # The kernel gives a port of its own range to another program as soon as it is free.
        port = free_port(())
        with socket.create_server((address, port)):
            assert not is_free(port), address
        assert is_free(port), address


def test_a_port_is_free_although_its_last_connections_are_not_gone_yet() -> None:
    port = free_port(())
    with socket.create_server(("127.0.0.1", port)) as server:
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # the side that closes first waits in TIME_WAIT
        client.close()
    assert is_free(port)


def test_a_free_port_is_none_of_those_that_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_FIRST", 20000)
    monkeypatch.setattr(ports, "_LAST", 20002)
    monkeypatch.setattr(ports, "is_free", lambda port: port != 20001)
    assert {free_port(()) for _ in range(50)} == {20000, 20002}
    assert free_port({20000}) == 20002
    with pytest.raises(OSError, match="no free port from 20000 to 20002"):
        free_port({20000, 20002})


def test_a_free_port_is_none_that_the_kernel_gives_to_clients() -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    found = free_port(())
    assert is_free(found)
    assert not first <= found <= last


def test_who_listens_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        process = listener(server.getsockname()[1])
        assert process is not None
        assert process.pid == os.getpid()
    assert listener(1) is None


def test_a_mark_of_the_listener_or_only_of_its_parent_identifies_it() -> None:
    # A program that sets its own title overwrites the environment that others see of it.
    child = f'env -i {sys.executable} -c "{LISTEN}"; :'
    with subprocess.Popen(
        ["sh", "-c", child],
        env={**os.environ, MARK: "ours"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as shell:
        assert shell.stdout is not None
        port = int(shell.stdout.readline())
        try:
            assert not belongs_to_another(port, "ours")
            assert belongs_to_another(port, "another")
        finally:
            os.killpg(shell.pid, 9)
    until = time.monotonic() + HUNG
    while listener(port) is not None:
        assert time.monotonic() < until
    assert not belongs_to_another(port, "ours"), "nobody is no other"
