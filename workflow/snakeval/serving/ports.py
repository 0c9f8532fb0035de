"""Finds a free port for a server, and checks that this server listens there."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import time
from collections.abc import Collection
from pathlib import Path

import psutil

from snakeval.errors import EvaluationError
from snakeval.serving.deployment import MARK
from snakeval.serving.listeners import listening, owner

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
    pid = owner(listening(port))
    try:
        return psutil.Process(pid) if pid else None
    except psutil.NoSuchProcess:  # it ended meanwhile
        return None


def processes(port: int) -> tuple[psutil.Process, ...]:
    """Return the process that listens on *port* and all that it started, where visible."""
    found = listener(port)
    try:
        return (found, *found.children(recursive=True)) if found else ()
    except psutil.Error:
        return ()


def choose(wanted: int, taken: Collection[int], seconds: float = 3.0) -> int:
    """Return the port that a server is to use: *wanted*, or else a free one.

    Raises:
        EvaluationError: another process listens on *wanted* and still does after *seconds*.
    """
    if not wanted:
        return free_port(taken)
    until = time.monotonic() + seconds  # its predecessor's may take a moment to be free
    while not is_free(wanted):
        if time.monotonic() > until:
            who, process = "", listener(wanted)
            with contextlib.suppress(psutil.Error):  # it ended meanwhile
                who = f" by {process.name()} (pid {process.pid})" if process else ""
            raise EvaluationError(
                f"port {wanted} is in use{who}; free it, or leave out `port` for a free one"
            )
        time.sleep(0.2)
    return wanted


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
