"""The server of the stand-in, and its own routes for tests below ``/standin``."""

from __future__ import annotations

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from standin.answers import Answer, Refused
from standin.endpoint_routes import redacted
from standin.faults import Fault, Faults
from standin.jobs import ENDED, Job
from standin.routes import route
from standin.runner import Runner
from standin.runner import runner as make_runner
from standin.workspace import Workspace


class StandIn:
    """The stand-in as a server on loopback."""

    def __init__(
        self, runner: str | Runner = "auto", port: int = 0, directory: Path | None = None
    ) -> None:
        made = make_runner(runner) if isinstance(runner, str) else runner
        self.workspace = Workspace(made, directory)
        self.faults = Faults()
        self.requests: list[tuple[float, str]] = []  #: time and "METHOD /path?query"
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.standin = self
        self._ending = threading.Event()

    @property
    def url(self) -> str:
        """Return the workspace's URL, for LEPTON_WORKSPACE_URL."""
        port = self._server.server_address[1]
        return f"http://127.0.0.1:{port}/api/v2/workspaces/{self.workspace.id}"

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that lead a client here."""
        return {
            "LEPTON_WORKSPACE_ID": self.workspace.id,
            "LEPTON_WORKSPACE_TOKEN": self.workspace.token,
            "LEPTON_WORKSPACE_URL": self.url,
        }

    @property
    def jobs(self) -> list[Job]:
        """Return all jobs there ever were."""
        return [*self.workspace.jobs.all.values(), *self.workspace.jobs.vanished]

    @property
    def alive(self) -> list[Job]:
        """Return the jobs that were not deleted and have not expired."""
        return [job for job in self.jobs if not job.archived]

    def asked(self, pattern: str) -> list[str]:
        """Return the requests that match."""
        return [request for _, request in self.requests if re.search(pattern, request)]

    def start(self) -> StandIn:
        """Serve, in threads."""
        for work in (self._serve, self._tick):
            threading.Thread(target=work, daemon=True).start()
        return self

    def close(self) -> None:
        """End, and end all that runs."""
        self._ending.set()
        self._server.shutdown()
        self._server.server_close()
        self.workspace.runner.close()

    def __enter__(self) -> StandIn:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _serve(self) -> None:
        self._server.serve_forever(poll_interval=0.05)

    def _tick(self) -> None:
        while not self._ending.wait(0.05):
            self.workspace.jobs.tick()
            self.workspace.endpoints.tick()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    standin: StandIn


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes
    server: _Server

    def log_message(self, *args: Any) -> None:
        """Quiet."""

    def _handle(self) -> None:
        standin = self.server.standin
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length) if length else b""
        body = json.loads(raw) if raw else {}
        if self.path.startswith("/standin/"):
            return self._send(*_control(standin, self.command, self.path, body))
        root = f"/api/v2/workspaces/{standin.workspace.id}"
        if not self.path.startswith(root):
            return self._send(404, {"code": "NotFound", "message": "no such workspace"})
        path = self.path.removeprefix(root) or "/"
        request = f"{self.command} {path}"
        standin.requests.append((time.time(), request))
        fault = standin.faults.take(request)
        if fault and fault.befalls:
            fault.befalls(standin)
            fault = None
        if fault and fault.when == "before":
            return self._fail(fault)
        given = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if given != standin.workspace.token:
            return self._send(401, {"code": "Unauthorized", "message": "invalid token"})
        try:
            answer = route(standin.workspace, self.command, path, body)
        except Refused as error:
            status, message = error.args
            answer = (status, {"code": "Error", "message": message})
        if fault:
            return self._fail(fault)
        return self._send(*answer)

    def _fail(self, fault: Fault) -> None:
        time.sleep(fault.delay)
        if fault.when == "drop":
            self.close_connection = True
            return self.connection.close()
        return self._send(fault.status, fault.body, fault.headers)

    def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        if isinstance(body, (str, bytes)):
            data = body if isinstance(body, bytes) else body.encode()
        else:
            data = json.dumps(body).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client has gone

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = _handle


def _control(standin: StandIn, method: str, path: str, body: Any) -> Answer:
    """The stand-in's own routes, for tests in other processes. They need no token."""
    ws = standin.workspace
    if (method, path) == ("GET", "/standin/state"):
        return 200, {
            "jobs": [
                {**job.as_json(), "starts": job.starts, "archived": job.archived}
                for job in standin.jobs
            ],
            "endpoints": [
                {**redacted(e), "loads": e.loads, "requests": e.requests}
                for e in ws.endpoints.all.values()
            ],
            "loads": ws.endpoints.loads,
            "requests": [request for _, request in standin.requests],
        }
    if (method, path) == ("POST", "/standin/faults"):
        standin.faults.add(body)
        return 200, {}
    if (method, path) == ("DELETE", "/standin/faults"):
        standin.faults.clear()
        return 200, {}
    if (method, path) == ("POST", "/standin/settings"):
        for name, value in body.items():
            if not hasattr(ws, name):
                return 400, {"message": f"no setting {name}"}
            setattr(ws, name, value)
        return 200, {}
    if found := re.fullmatch(r"/standin/jobs/([^/]+)/(preempt|expire|lose-log)", path):
        job = ws.jobs.all[found[1]]
        if found[2] == "preempt":
            ws.jobs.preempt(job)
        elif found[2] == "expire" and job.state in ENDED:
            job.archived = True
        elif found[2] == "lose-log":
            job.log_lost = True
        return 200, {}
    return 404, {"message": f"no {method} {path}"}
