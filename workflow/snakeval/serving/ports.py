"""Finds a free port for a server, and checks that this server listens there."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Collection
from pathlib import Path

import psutil

from snakeval.serving.deployment import MARK

#: Below the kernel's ephemeral ports (from 32768 on), so no client's own port is in the way.
_FIRST, _LAST = 20000, 31999


def is_free(port: int) -> bool:
    """Whether no process listens on *port* of any address here."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Connections that have ended do not count, as they do not for servers.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def free_port(taken: Collection[int]) -> int:
    """Return a free port that is not in *taken*.

    A random one: pools of other users look for theirs at the same time.

    Raises:
        OSError: there is none.
    """
    for port in random.sample(range(_FIRST, _LAST + 1), _LAST + 1 - _FIRST):
        if port not in taken and is_free(port):
            return port
    raise OSError(f"no free port from {_FIRST} to {_LAST}")


def listener(port: int) -> psutil.Process | None:
    """Return the process that listens on *port*, where this user may know it."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:
        return None
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.pid and connection.laddr:
            _, listened = connection.laddr
            if listened == port:
                return psutil.Process(connection.pid)
    return None


def belongs_to_another(port: int, server: str) -> bool:
    """Whether *port* is listened on by a process that is surely not of *server*.

    The mark of *server* may be in a parent process only: a program that sets its own title
    overwrites the environment that other processes see.
    """
    process = listener(port)
    if process is None:
        return False
    try:
        family = [process, *process.parents()]
        places = [Path(f"/proc/{member.pid}/environ") for member in family if member.pid > 1]
        variables = [place.read_bytes().split(b"\0") for place in places if _readable(place)]
    except (OSError, psutil.Error):
        return False  # it ended meanwhile
    mark = f"{MARK}={server}".encode()
    return bool(variables) and not any(mark in found for found in variables)


def _readable(path: Path) -> bool:
    return os.access(path, os.R_OK)
