"""An evaluation whose model listens on a Unix socket."""

from __future__ import annotations

import json
import socketserver
import tempfile
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import pytest

from support.asking import Asking
from support.ledger import completion

pytestmark = pytest.mark.usefixtures("in_this_process")


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class _Model(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps(completion("4")).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *of: object) -> None:
        """Say nothing: a socket has no address to log."""


def test_a_harness_asks_a_model_on_a_unix_socket_by_the_gateway(tmp_path: Path) -> None:
    # The path of a socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="snakeval-") as folder:
        place = f"{folder}/model.sock"
        with _Server(place, _Model) as server:
            Thread(target=server.serve_forever, daemon=True).start()
            job = Asking(tmp_path, f"http+unix://{quote(place, safe='')}")
            assert job() == (0, "")
            server.shutdown()
    assert job.answers == ["4", "4", "4"]
