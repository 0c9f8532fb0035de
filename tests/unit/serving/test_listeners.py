"""The sockets that listen on a port, by netlink and by the tables of /proc."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from snakeval.serving import listeners
from snakeval.serving.listeners import listening, owner


@pytest.fixture(params=["127.0.0.1", "0.0.0.0", "::1", "::"])
def server(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    try:
        made = socket.create_server((request.param, 0), family=family)
    except OSError:
        assert family == socket.AF_INET6
        pytest.skip("no IPv6")
    with made:
        yield made


def inode(server: socket.socket) -> int:
    return os.fstat(server.fileno()).st_ino


def ours(found: Iterable[int]) -> set[int]:
    """Return those of this process; another one may have the port in the other family."""
    own = {path.stat().st_ino for path in Path("/proc/self/fd").iterdir() if path.exists()}
    return {*found} & own


def test_both_ways_find_the_socket_and_its_process(server: socket.socket) -> None:
    port = server.getsockname()[1]
    for found in (listeners._by_netlink(port), listeners._by_tables(port), listening(port)):
        assert ours(found) == {inode(server)}
    assert owner({inode(server)}) == os.getpid()


def test_a_connection_does_not_listen_and_a_closed_port_has_no_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
            assert ours(listening(port)) == {inode(server)}
    assert ours(listening(port)) == set()
    assert owner(()) is None


def test_several_sockets_at_one_port_are_all_found() -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as first:
        port = first.getsockname()[1]
        with socket.create_server(("127.0.0.1", port), reuse_port=True) as second:
            assert ours(listening(port)) == {inode(first), inode(second)}


def test_many_sockets_that_listen_are_read_to_the_end() -> None:
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(300)]
    try:
        for server in (servers[0], servers[-1]):
            assert ours(listening(server.getsockname()[1])) == {inode(server)}
    finally:
        for server in servers:
            server.close()


def test_without_netlink_the_tables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "_SOCK_DIAG", 31)  # no such protocol
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(OSError, match=r"not supported|Protocol"):
            next(listeners._by_netlink(port))
        assert ours(listening(port)) == {inode(server)}
