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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType

from support.limits import HUNG


@contextmanager
def served(
    command: Sequence[str],
    path: str,
    directory: Path,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[str]:
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
            env={**os.environ, **variables},
        )  # fmt: skip
    try:
        until = time.monotonic() + HUNG
        while not _answers(url + path):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=HUNG)


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
    """Serve MLflow, with its database and its files in *directory*.

    This is what `mlflow server` starts, which itself costs as much again.
    """
    command = [
        str(bed / "mlflow" / "bin" / "python"), "-m", "uvicorn", "--host", "127.0.0.1",
        "--port", "{port}", "mlflow.server.fastapi_app:app",
    ]  # fmt: skip
    database = f"sqlite:///{directory}/db.sqlite"
    variables = {
        # MLflow starts eight processes for its own background jobs.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "_MLFLOW_SERVER_FILE_STORE": database,
        "_MLFLOW_SERVER_REGISTRY_STORE": database,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(directory / "artifacts"),
        "_MLFLOW_SGI_NAME": "uvicorn",
    }
    with served(command, "/health", directory, variables) as url:
        yield url


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=HUNG) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
