"""The protocol of the pool: JSON lines over a Unix socket that only its user can use.

The socket's address is no file (unix(7), abstract): the kernel gives it to one process, and takes
it back when that process ends. No clean-up of /tmp can separate a pool from its clients.
The connection itself holds the servers that the client asked for. If a client dies, even of
SIGKILL, the kernel closes the connection and the pool notices at once.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import socket
import stat
import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snakeval.errors import EvaluationError
from snakeval.files import domain, json_object

Message = dict[str, Any]

#: Of the protocol. A pool of another version is another pool.
_VERSION = 2
_CREDENTIALS = struct.Struct("3i")
#: The kernel allows no more open files with one message.
_MOST_FILES = 253


def _digest() -> str:
    return hashlib.sha256(domain().encode()).hexdigest()[:8]


def address() -> str:
    """Return the pool's address: one for each :func:`snakeval.files.domain` and version."""
    return f"\0snakeval-pool-{os.getuid()}-{_digest()}-{_VERSION}"


def listen() -> socket.socket | None:
    """Return a socket that listens at the pool's address; None if a pool listens already."""
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(address())
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    listening.listen(128)
    return listening


def connect() -> Channel:
    """Return a connection to the pool.

    Raises:
        OSError: there is no pool.
        EvaluationError: a process of another user has its address.
    """
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(address())
        pid, owner = peer(connection)
        if owner != os.getuid():
            raise EvaluationError(
                f"process {pid} of user {owner} has the address of your pool of model servers; "
                "ask that user to end it, or set another SNAKEVAL_HOME"
            )
    except BaseException:
        connection.close()
        raise
    return Channel(connection)


def peer(connection: socket.socket) -> tuple[int, int]:
    """Return the pid and the user's id of the process at the other end."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(found)
    return pid, uid


def path() -> Path:
    """Return the path of the pool's directory, which has only its log.

    It is in /tmp, because machines may share a home directory.
    """
    return Path(f"/tmp/snakeval-{os.getuid()}-{_digest()}")


def directory() -> Path:
    """Return the pool's directory, which only its user can enter, and make it if it is missing.

    Raises:
        EvaluationError: another user owns it, or other users can enter it.
    """
    place = path()
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
        self._receiving = threading.Lock()
        self._unread = b""
        #: Open files that came with messages; their receiver closes them.
        self.files: list[int] = []

    def send(self, message: Message, files: Sequence[int] = ()) -> None:
        """Send *message*, and open *files* with it.

        Raises:
            OSError: the other side is gone.
        """
        with self._lock:
            data = json.dumps(message).encode() + b"\n"
            if files:
                sent = socket.send_fds(self._socket, [data], files)
                data = data[sent:]
            self._socket.sendall(data)

    def receive(self, timeout: float | None = None) -> Message | None:
        """Return the next message, or None after *timeout* seconds without a whole one.

        Raises:
            EOFError: the other side is gone, or sends something else than messages.
        """
        while b"\n" not in self._unread:
            try:
                with self._receiving:
                    self._socket.settimeout(timeout)
                    more, files, _, _ = socket.recv_fds(self._socket, 1 << 16, _MOST_FILES)
                    self.files += files
            except TimeoutError:
                return None
            except OSError:
                raise EOFError from None
            if not more:
                raise EOFError
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        try:
            return json_object(line)
        except ValueError as error:
            raise EOFError(str(error)) from None

    def shut(self) -> None:
        """End the connection, waking a thread that receives from it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the connection and give its file back, once no thread uses the file any more."""
        self.shut()
        with self._receiving, self._lock:
            self._socket.close()
