"""The protocol of the pool: JSON lines over a Unix socket that only its user can open.

The connection itself holds the servers that the client asked for. If a client dies, even of
SIGKILL, the kernel closes the connection and the pool notices at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import stat
import threading
from pathlib import Path
from typing import Any

from snakeval.errors import EvaluationError
from snakeval.files import domain

Message = dict[str, Any]


def path() -> Path:
    """Return the path of the pool's directory: one for each :func:`snakeval.files.domain`.

    It is in /tmp, because machines may share a home directory, and because the path of a socket
    must be short.
    """
    which = hashlib.sha256(domain().encode()).hexdigest()[:8]
    return Path(f"/tmp/snakeval-{os.getuid()}-{which}")


def directory(*, make: bool = False) -> Path:
    """Return the pool's directory, which only its user can enter.

    Raises:
        FileNotFoundError: it does not exist, and *make* is false.
        EvaluationError: another user owns it, or other users can enter it.
    """
    place = path()
    if make:
        with contextlib.suppress(FileExistsError):
            place.mkdir(mode=0o700)
    found = place.lstat()
    private = stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o700
    if found.st_uid != os.getuid() or not private:
        raise EvaluationError(f"{place} belongs to another user or is open to others; remove it")
    return place


class Channel:
    """One connection. Any thread may send; one thread receives."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._lock = threading.Lock()
        self._unread = b""

    def send(self, message: Message) -> None:
        """Send *message*.

        Raises:
            OSError: the other side is gone.
        """
        with self._lock:
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, timeout: float | None = None) -> Message | None:
        """Return the next message, or None after *timeout* seconds without a whole one.

        Raises:
            EOFError: the other side is gone.
        """
        while b"\n" not in self._unread:
            try:
                self._socket.settimeout(timeout)
                more = self._socket.recv(1 << 16)
            except TimeoutError:
                return None
            except OSError:
                raise EOFError from None
            if not more:
                raise EOFError
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        message: Message = json.loads(line)
        return message

    def close(self) -> None:
        """End the connection, waking a thread that receives from it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
