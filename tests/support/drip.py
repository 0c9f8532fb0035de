"""A server whose answers never end: a registry or an index that hangs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Drip:
    """A server that announces 100 MB, and sends a byte each quarter of a second.

    Attributes:
        content: the whole answer to later requests, as of a server that has recovered.
    """

    content: bytes | None = None

    def __init__(self, listening: socket.socket) -> None:
        self.asked = threading.Event()
        self._end = threading.Event()
        self._listening = listening
        self._lock = threading.Lock()
        self._open = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    @property
    def connections(self) -> int:
        """How many clients are still connected."""
        return self._open

    def stop(self) -> None:
        self._end.set()
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with self._lock:
            self._open += 1
        try:
            with connection:
                connection.recv(1 << 16)
                if self.content is not None:
                    connection.sendall(self.head(len(self.content)) + self.content)
                    return
                connection.sendall(self.head(100_000_000))
                self.asked.set()
                while not self._end.wait(0.25):
                    connection.sendall(b"x")
        except OSError:
            pass  # the client is gone, as it must
        finally:
            with self._lock:
                self._open -= 1

    @staticmethod
    def head(length: int) -> bytes:
        return (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
            b"Content-Length: %d\r\nConnection: close\r\n\r\n" % length
        )


@contextmanager
def drip() -> Iterator[Drip]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made = Drip(listening)
        try:
            yield made
        finally:
            made.stop()
