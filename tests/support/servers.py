"""Servers of the test bed, each on a port of its own and with an end."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
