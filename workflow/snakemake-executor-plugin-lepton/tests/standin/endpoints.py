"""Endpoints: replicas that are kept running, behind an ingress that checks tokens."""

from __future__ import annotations

import http.client
import secrets
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from standin.jobs import _iso, now_ms
from standin.reasons import reasons
from standin.runner import CannotStartError, Line, Workload

if TYPE_CHECKING:
    from standin.workspace import Workspace


@dataclass(eq=False)
class Replica:
    """One replica."""

    id: str
    workload: Workload | None = None
    ready: bool = False
    starts: int = 0
    next_try: float = 0.0
    reason: str = "InProgress"
    terminations: list[dict[str, Any]] = field(default_factory=list)
    past_lines: list[Line] = field(default_factory=list)


@dataclass(eq=False)
class Endpoint:
    """One endpoint. ``body`` is as it was sent: of the legacy or of the new form."""

    name: str
    body: dict[str, Any]
    new: bool
    replicas: list[Replica] = field(default_factory=list)
    deleting: bool = False
    created: int = field(default_factory=now_ms)
    last_traffic: float = field(default_factory=time.monotonic)
    requests: int = 0
    loads: int = 0  #: how often a replica was started
    events: list[dict[str, Any]] = field(default_factory=list)
    ingress: ThreadingHTTPServer | None = None

    @property
    def spec(self) -> dict[str, Any]:
        return self.body.setdefault("spec", {})

    @property
    def part(self) -> dict[str, Any]:
        """Return the container's part: its component in the new form."""
        return self.spec["components"][0] if self.new else self.spec

    @property
    def scale(self) -> dict[str, Any]:
        return self.part if self.new else self.spec.setdefault("resource_requirement", {})

    @property
    def port(self) -> int:
        container = self.part if self.new else self.spec.get("container") or {}
        ports = container.get("ports") or [{"container_port": 40000}]
        return int(ports[0]["container_port"])

    @property
    def tokens(self) -> list[str]:
        return [t["value"] for t in self.spec.get("api_tokens") or [] if t.get("value")]

    @property
    def idle_limit(self) -> float:
        scaler = self.part.get("autoscaling" if self.new else "auto_scaler") or {}
        return float((scaler.get("scale_down") or {}).get("no_traffic_timeout") or 0)

    @property
    def phase(self) -> str:
        wanted = int(self.scale.get("min_replicas") or 0)
        if self.deleting:
            return "Deleting"
        if wanted == 0:
            return "Stopped"
        if any(replica.ready for replica in self.replicas):
            return "Ready"
        crashed = any(replica.terminations for replica in self.replicas)
        return "Not Ready" if crashed else "Starting"

    def as_json(self) -> dict[str, Any]:
        assert self.ingress is not None
        url = f"http://127.0.0.1:{self.ingress.server_address[1]}"
        ready = sum(replica.ready for replica in self.replicas)
        spec = dict(self.spec)
        metadata = {"id": self.name, "name": self.name, "created_at": self.created, "version": 1}
        if self.new:
            status: dict[str, Any] = {"state": self.phase.replace(" ", ""), "external_url": url}
            if ready:
                status["ready_replicas"] = ready
            owned = (self.body.get("metadata") or {}).get("lepton_metadata") or {}
            metadata["lepton_metadata"] = {"created_by": "standin@example.com", **owned}
            if self.deleting:
                metadata["deleted_at"] = now_ms()
            return {"metadata": metadata, "spec": spec, "status": status}
        metadata |= {"created_by": "standin@example.com", "visibility": "private"}
        folded = "Not Ready" if self.phase in ("Stopping", "Stopped") else self.phase
        return {
            "metadata": metadata, "spec": spec,
            "status": {
                "state": folded, "phase": self.phase,
                "endpoint": {"internal_endpoint": "", "external_endpoint": url},
                "autoscaler_status": {"desired_replicas": len(self.replicas)},
            },
        }  # fmt: skip


class Endpoints:
    """All endpoints of the workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.RLock()
        self.all: dict[str, Endpoint] = {}
        self.loads: dict[str, int] = {}  #: starts by name, of deleted ones too

    def create(self, body: dict[str, Any], new: bool) -> Endpoint | None:
        """Create one; None if there is one of that name."""
        name = str(body["metadata"].get("name") or body["metadata"].get("id"))
        with self._lock:
            if name in self.all:
                return None
            endpoint = Endpoint(name, body, new)
            spec = endpoint.spec
            if self._workspace.secure_defaults and not (
                spec.get("api_tokens") or spec.get("allow_unauthenticated_access")
            ):
                spec["api_tokens"] = [{"value": secrets.token_urlsafe(16)}]
            endpoint.ingress = _ingress(endpoint)
            self.all[name] = endpoint
        return endpoint

    def delete(self, endpoint: Endpoint) -> None:
        endpoint.deleting = True
        threading.Thread(target=self._delete, args=(endpoint,), daemon=True).start()

    def _delete(self, endpoint: Endpoint) -> None:
        for replica in endpoint.replicas:
            if replica.workload:
                replica.workload.stop(1)
        if endpoint.ingress:
            endpoint.ingress.shutdown()
            endpoint.ingress.server_close()
        with self._lock:
            self.all.pop(endpoint.name, None)

    def tick(self) -> None:
        """Keep as many replicas as are asked for, and see which are ready."""
        with self._lock:
            endpoints = [e for e in self.all.values() if not e.deleting]
        for endpoint in endpoints:
            idle = time.monotonic() - endpoint.last_traffic
            limit = endpoint.idle_limit
            if limit and idle > limit * self._workspace.ttl_scale:
                endpoint.scale["min_replicas"] = 0
            wanted = int(endpoint.scale.get("min_replicas", 1) or 0)
            while len(endpoint.replicas) < wanted:
                number = len(endpoint.replicas)
                replica = Replica(f"{endpoint.name}-{number}-{secrets.token_hex(3)[:5]}")
                endpoint.replicas.append(replica)
            while len(endpoint.replicas) > wanted:
                gone = endpoint.replicas.pop()
                if gone.workload:
                    threading.Thread(target=gone.workload.stop, args=(1,), daemon=True).start()
            for replica in endpoint.replicas:
                self._look(endpoint, replica)

    def _look(self, endpoint: Endpoint, replica: Replica) -> None:
        if replica.workload is None:
            if time.monotonic() >= replica.next_try:
                self._start(endpoint, replica)
            return
        code = replica.workload.poll()
        if code is not None:
            replica.past_lines += replica.workload.lines()
            replica.workload, replica.ready = None, False
            replica.next_try = time.monotonic() + 1
            replica.terminations.append(
                {"started_at": now_ms() // 1000, "finished_at": now_ms() // 1000,
                 "exit_code": code, "reason": "Error", "message": ""}
            )  # fmt: skip
            self._event(endpoint, "BackOff")
            return
        replica.ready = _answers(replica.workload.address())

    def _start(self, endpoint: Endpoint, replica: Replica) -> None:
        extra = {"LEPTON_DEPLOYMENT_NAME": endpoint.name, "LEPTON_WORKSPACE_ID": self._workspace.id}
        container = endpoint.part if endpoint.new else endpoint.spec["container"]
        try:
            made = self._workspace.container(endpoint.part, container, extra, endpoint.port)
            replica.workload = self._workspace.runner.start(made)
        except CannotStartError as error:
            replica.reason = "ConfigError"
            replica.next_try = time.monotonic() + 1
            replica.past_lines.append((time.time_ns(), " ".join(map(str, error.args))[:500]))
            for reason in reasons(str(error.args[0]), self._workspace.vocabulary):
                self._event(endpoint, reason)
            return
        replica.starts += 1
        endpoint.loads += 1
        self.loads[endpoint.name] = self.loads.get(endpoint.name, 0) + 1
        endpoint.last_traffic = time.monotonic()

    def _event(self, endpoint: Endpoint, reason: str) -> None:
        endpoint.events.append(
            {"type": "Warning", "reason": reason, "regarding": {}, "count": 1,
             "last_observed_time": _iso()}
        )  # fmt: skip


def _answers(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, 0.5) as made:
            # A published port of the engine answers before the container does.
            made.settimeout(0.5)
            made.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
            return bool(made.recv(1))
    except OSError:
        return False


def _ingress(endpoint: Endpoint) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # headers and body are two writes

        def log_message(self, *args: Any) -> None:
            """Quiet."""

        def _forward(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else None
            endpoint.last_traffic = time.monotonic()
            endpoint.requests += 1
            given = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            if endpoint.tokens and given not in endpoint.tokens:
                return self._answer(401, b'{"error":"unauthorized"}')
            ready = [r for r in endpoint.replicas if r.ready and r.workload]
            if not ready:
                return self._answer(503, b'{"error":"no replica is ready"}')
            workload = ready[endpoint.requests % len(ready)].workload
            assert workload is not None
            host, port = workload.address()
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
            try:
                upstream = http.client.HTTPConnection(host, port, timeout=300)
                upstream.request(self.command, self.path, body, headers)
                answer = upstream.getresponse()
                return self._answer(
                    answer.status, answer.read(), answer.getheader("Content-Type") or "text/plain"
                )
            except OSError:
                return self._answer(502, b'{"error":"bad gateway"}')

        def _answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _forward

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
    ).start()
    return server


_HOP = {"connection", "keep-alive", "transfer-encoding", "host", "authorization", "accept-encoding"}
