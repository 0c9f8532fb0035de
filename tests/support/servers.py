"""Servers of the test bed, each on a port of its own and with an end."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

#: MLflow's own background jobs, of which it starts eight processes, are none of ours.
_CALM = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


@contextmanager
def served(command: Sequence[str], path: str, directory: Path) -> Iterator[str]:
    """Run *command*, with `{port}` filled in, until its *path* answers; yield its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    log = directory / "server.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [word.format(port=port) for word in command],
            cwd=directory, stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, **_CALM},
        )  # fmt: skip
    try:
        until = time.monotonic() + 300
        while not _answers(url + path):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


class JsonHandler(BaseHTTPRequestHandler):
    """Answers in JSON, and says nothing on the terminal."""

    protocol_version = "HTTP/1.1"

    def reply(self, status: int, said: object) -> None:
        text = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@contextmanager
def answering(handler: type[BaseHTTPRequestHandler], **shared: object) -> Iterator[str]:
    """Serve *handler*, whose requests share attributes, in a thread; yield its URL."""
    bound = type("Handler", (handler,), shared)
    server = ThreadingHTTPServer(("127.0.0.1", 0), bound)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def mlflow_server(bed: Path, directory: Path) -> Iterator[str]:
    """Serve MLflow, with its database and its files in *directory*."""
    command = [
        str(bed / "mlflow" / "bin" / "mlflow"), "server", "--host", "127.0.0.1",
        "--port", "{port}", "--workers", "1",
        "--backend-store-uri", f"sqlite:///{directory}/db.sqlite",
        "--artifacts-destination", str(directory / "artifacts"),
    ]  # fmt: skip
    with served(command, "/health", directory) as url:
        yield url


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
