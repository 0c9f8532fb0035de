"""A server whose answers never end: a registry or an index that hangs."""

from __future__ import annotations

import hashlib
import json
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
                request = connection.recv(1 << 16)
                whole = self.whole(request)
                if whole is not None:
                    connection.sendall(whole)
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

    def whole(self, request: bytes) -> bytes | None:
        """The whole answer to a request; None for one that never ends."""
        return None if self.content is None else self.head(len(self.content)) + self.content

    @staticmethod
    def head(length: int) -> bytes:
        return (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
            b"Content-Length: %d\r\nConnection: close\r\n\r\n" % length
        )


_VENDOR = "application/vnd.docker"


class SlowRegistry(Drip):
    """A registry of one image, whose layer never arrives."""

    def whole(self, request: bytes) -> bytes | None:
        root = {"type": "layers", "diff_ids": [f"sha256:{2:064x}"]}
        config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": root}).encode()
        kind = f"{_VENDOR}.distribution.manifest.v2+json"
        parts = {
            "config": {
                "mediaType": f"{_VENDOR}.container.image.v1+json",
                "size": len(config),
                "digest": _digest(config),
            },
            "layers": [
                {
                    "mediaType": f"{_VENDOR}.image.rootfs.diff.tar.gzip",
                    "size": 100_000_000,
                    "digest": f"sha256:{1:064x}",
                }
            ],
        }
        manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, **parts}).encode()
        if _digest(config).encode() in request:
            return self.head(len(config)) + config
        if b"/blobs/" in request:
            return None
        if b"/manifests/" not in request:
            return self.head(2) + b"{}"
        more = f"Content-Type: {kind}\r\nDocker-Content-Digest: {_digest(manifest)}\r\n".encode()
        head = b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n" % (more, len(manifest))
        return head if request.startswith(b"HEAD") else head + manifest


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@contextmanager
def drip(kind: type[Drip] = Drip) -> Iterator[Drip]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made = kind(listening)
        try:
            yield made
        finally:
            made.stop()
