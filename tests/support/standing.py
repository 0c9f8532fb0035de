"""A server that answers each path as a test wants, and counts what it is asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: A status with JSON or a page. None: the server closes the connection without an answer.
Said = tuple[int, Any] | None

CHAT = {"choices": [{"index": 0, "message": {"content": "4"}, "finish_reason": "length"}]}
TEXT = {"choices": [{"index": 0, "text": "4", "finish_reason": "length"}]}
VECTOR = {"data": [{"index": 0, "embedding": [0.5]}]}
LIST = {"object": "list", "data": [{"id": "m"}, {"id": "other"}]}
PAGE = "<!DOCTYPE html><html><title>Log in</title></html>"


class Standing(ThreadingHTTPServer):
    """Answers by ``METHOD /path``; what is not there is a 404 in JSON."""

    daemon_threads = True

    def __init__(self, said: Mapping[str, Said]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.said = said
        self.asked: list[tuple[str, dict[str, str], Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def paths(self) -> list[str]:
        return [asked for asked, _, _ in self.asked]


class _Handler(BaseHTTPRequestHandler):
    server: Standing
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, data: Any) -> None:
        asked = f"{self.command} {self.path}"
        self.server.asked.append((asked, dict(self.headers), data))
        said = self.server.said.get(asked, (404, {"detail": "Not Found"}))
        if said is None:
            self.close_connection = True
            return
        status, content = said
        is_page = isinstance(content, str)
        text = content.encode() if is_page else json.dumps(content).encode()
        self.send_response(status)
        if status in (301, 302):
            self.send_header("Location", "https://login.example/?token=1")
        self.send_header("Content-Type", "text/html" if is_page else "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@contextmanager
def standing(said: Mapping[str, Said]) -> Iterator[Standing]:
    """Serve in a thread while the context lasts."""
    server = Standing(said)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
