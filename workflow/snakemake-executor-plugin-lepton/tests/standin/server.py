"""The routes, as in the service's contract; and some of the stand-in's own, below ``/standin``."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from standin.endpoints import Endpoint
from standin.faults import Fault, Faults
from standin.jobs import ENDED, Job
from standin.runner import Line, Runner
from standin.runner import runner as make_runner
from standin.workspace import Workspace

Answer = tuple[int, Any]


class Refused(Exception):
    """An answer that is an error: status, message."""


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
            answer = _route(standin.workspace, self.command, path, body)
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


def _route(ws: Workspace, method: str, path: str, body: Any) -> Answer:
    split = urlsplit(path)
    query = parse_qs(split.query)
    for verb, pattern, function in _ROUTES:
        if verb == method and (found := re.fullmatch(pattern, split.path)):
            return function(ws, query, body, *found.groups())
    raise Refused(404, f"no route {method} {split.path}")


def _one(query: dict[str, list[str]], name: str, default: str = "") -> str:
    return query.get(name, [default])[0]


# The workspace


def _info(ws: Workspace, query: Any, body: Any) -> Answer:
    return 200, ws.info()


def _root(ws: Workspace, query: Any, body: Any) -> Answer:
    return 200, {"display_name": ws.id, "id": ws.id}


def _tokens(ws: Workspace, query: Any, body: Any) -> Answer:
    masked = f"{ws.token[:2]}...{ws.token[-2:]}"
    return 200, [{"masked_value": masked, "expires_at": int(time.time() * 1000) + 10**10}]


def _shapes(ws: Workspace, query: Any, body: Any) -> Answer:
    return 200, ws.shapes()


def _groups(ws: Workspace, query: Any, body: Any) -> Answer:
    return 200, ws.groups()


def _group(ws: Workspace, query: Any, body: Any, name: str) -> Answer:
    for group in ws.groups():
        if name in (group["metadata"]["id"], group["metadata"]["name"]):
            return 200, group
    raise Refused(404, f"no node group {name}")


def _nodes(ws: Workspace, query: Any, body: Any, name: str) -> Answer:
    spec = {"dedicated_node_group": name, "unschedulable": False}
    return 200, [{"metadata": {"id": "node-1", "name": "node-1"}, "spec": spec, "status": {}}]


def _secrets(ws: Workspace, query: Any, body: Any) -> Answer:
    # Values are never shown.
    return 200, [{"name": name, "tags": [], "owner": ""} for name in ws.secrets]


def _make_secrets(ws: Workspace, query: Any, body: Any) -> Answer:
    ws.secrets.update({item["name"]: item["value"] for item in body})
    return 200, {}


def _drop_secret(ws: Workspace, query: Any, body: Any, name: str) -> Answer:
    if ws.secrets.pop(name, None) is None:
        raise Refused(404, f"no secret {name}")
    return 200, {}


# Jobs


def _list_jobs(ws: Workspace, query: dict[str, list[str]], body: Any) -> Answer:
    labels = dict(term.split("=", 1) for term in _one(query, "query").split(",") if "=" in term)
    mode = _one(query, "job_query_mode", "alive_only")
    jobs = ws.jobs.select(mode, labels, _one(query, "q"), query.get("status", []))
    size = int(_one(query, "page_size", "500"))
    first = (int(_one(query, "page", "1")) - 1) * size
    return 200, {"jobs": [job.as_json() for job in jobs[first : first + size]]}


def _make_job(ws: Workspace, query: Any, body: Any) -> Answer:
    if ws.state != "normal":
        raise Refused(403, f"workspace is {ws.state}")
    spec = body.get("spec") or {}
    shape = spec.get("resource_shape")
    if shape not in [s["metadata"]["id"] for s in ws.shapes()]:
        raise Refused(400, f"invalid resource shape {shape!r}")
    groups = (spec.get("affinity") or {}).get("allowed_dedicated_node_groups") or []
    if unknown := [group for group in groups if group not in ws.node_groups]:
        raise Refused(400, f"unknown node group {unknown[0]}")
    if not (spec.get("container") or {}).get("image"):
        raise Refused(400, "container.image is required")
    return 201, ws.jobs.create(body).as_json()


def _job(ws: Workspace, job_id: str, mode: str = "alive_and_archive") -> Job:
    job = ws.jobs.get(job_id, mode)
    if job is None:
        raise Refused(404, f"job {job_id} not found")
    return job


def _get_job(ws: Workspace, query: dict[str, list[str]], body: Any, job_id: str) -> Answer:
    return 200, _job(ws, job_id, _one(query, "job_query_mode", "alive_only")).as_json()


def _patch_job(ws: Workspace, query: Any, body: Any, job_id: str) -> Answer:
    job = _job(ws, job_id, "alive_only")
    stopped = (body.get("spec") or {}).get("stopped")
    if stopped is True:
        ws.jobs.stop(job)
    elif stopped is False:
        ws.jobs.restart(job)
    return 200, job.as_json()


def _drop_job(ws: Workspace, query: Any, body: Any, job_id: str) -> Answer:
    ws.jobs.delete(_job(ws, job_id, "alive_only"))
    return 200, {}


def _job_events(ws: Workspace, query: Any, body: Any, job_id: str) -> Answer:
    return 200, _job(ws, job_id).events


def _job_replicas(ws: Workspace, query: Any, body: Any, job_id: str) -> Answer:
    job = _job(ws, job_id)
    return 200, [_replica(job.replica)] if job.replica else []


def _job_log(ws: Workspace, query: Any, body: Any, job_id: str, replica: str) -> Answer:
    job = _job(ws, job_id)
    deadline = time.monotonic() + 600
    while job.state == "Running" and time.monotonic() < deadline:  # follows
        time.sleep(0.1)
    return 200, "".join(f"{text}\n" for _, text in job.lines())


def _replica(replica: str) -> dict[str, Any]:
    status = {"node": {"id": "node-1", "name": "node-1"}, "public_ip": None, "domains": []}
    return {"id": replica, "metadata": {"id": replica}, "status": status}


def _logs(ws: Workspace, query: dict[str, list[str]], body: Any) -> Answer:
    """Answer like Loki."""
    if name := _one(query, "job") or _one(query, "job_history_name"):
        job = ws.jobs.all.get(name)
        lines = job.lines() if job else []
    else:
        endpoint = ws.endpoints.all.get(_one(query, "endpoint") or _one(query, "deployment"))
        lines = _endpoint_lines(endpoint) if endpoint else []
    start, end = int(_one(query, "start", "0")), int(_one(query, "end", "0"))
    if end:
        lines = [line for line in lines if start <= line[0] <= end]
    wanted = _one(query, "q")
    lines = sorted(line for line in lines if wanted in line[1])
    if _one(query, "direction", "backward") == "backward":
        lines.reverse()
    values = [[str(at), text] for at, text in lines[: int(_one(query, "limit", "5000"))]]
    return 200, {"data": {"result": [{"stream": {}, "values": values}] if values else []}}


# Endpoints, of both families


def _endpoint(ws: Workspace, name: str) -> Endpoint:
    endpoint = ws.endpoints.all.get(name)
    if endpoint is None:
        raise Refused(404, f"endpoint {name} not found")
    return endpoint


def _family(ws: Workspace, family: str) -> None:
    if ws.new_endpoints != (family == "endpoints"):
        raise Refused(400, f"this workspace does not serve /{family}")


def _list_endpoints(ws: Workspace, query: Any, body: Any, family: str) -> Answer:
    _family(ws, family)
    return 200, [_redacted(endpoint) for endpoint in ws.endpoints.all.values()]


def _redacted(endpoint: Endpoint) -> dict[str, Any]:
    shown = json.loads(json.dumps(endpoint.as_json()))
    for token in shown["spec"].get("api_tokens") or []:
        if "value" in token:
            token["value"] = "***"
    return shown


def _make_endpoint(ws: Workspace, query: Any, body: Any, family: str) -> Answer:
    _family(ws, family)
    if family == "endpoints" and (body.get("metadata") or {}).get("labels"):
        raise Refused(400, "metadata.labels is not supported")
    endpoint = ws.endpoints.create(body, family == "endpoints")
    if endpoint is None:
        raise Refused(409, "an endpoint of this name exists")
    return 201, endpoint.as_json()


def _get_endpoint(ws: Workspace, query: Any, body: Any, family: str, name: str) -> Answer:
    _family(ws, family)
    return 200, _redacted(_endpoint(ws, name))


def _patch_endpoint(ws: Workspace, query: Any, body: Any, family: str, name: str) -> Answer:
    endpoint = _endpoint(ws, name)
    merged = _merge(endpoint.body, body)
    endpoint.body.clear()
    endpoint.body.update(merged)
    return 200, _redacted(endpoint)


def _merge(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    result = dict(old)
    for key, value in new.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merge(result.get(key), value)
    return result


def _drop_endpoint(ws: Workspace, query: Any, body: Any, family: str, name: str) -> Answer:
    ws.endpoints.delete(_endpoint(ws, name))
    return 200, {}


def _restart_endpoint(ws: Workspace, query: Any, body: Any, family: str, name: str) -> Answer:
    endpoint = _endpoint(ws, name)
    for replica in endpoint.replicas:
        if replica.workload:
            replica.workload.stop(1)
    return 200, _redacted(endpoint)


def _endpoint_replicas(ws: Workspace, query: Any, body: Any, family: str, name: str) -> Answer:
    return 200, [_replica(replica.id) for replica in _endpoint(ws, name).replicas]


def _endpoint_events(ws: Workspace, query: Any, body: Any, family: str, name: str) -> Answer:
    return 200, _endpoint(ws, name).events


def _readiness(ws: Workspace, query: Any, body: Any, name: str) -> Answer:
    endpoint = _endpoint(ws, name)
    return 200, {
        replica.id: [
            {"reason": "Ready" if replica.ready else replica.reason, "message": "",
             "creationTimestamp": "2026-01-01T00:00:00Z"}
        ]
        for replica in endpoint.replicas
    }  # fmt: skip


def _termination(ws: Workspace, query: Any, body: Any, name: str) -> Answer:
    replicas = _endpoint(ws, name).replicas
    return 200, {replica.id: replica.terminations for replica in replicas if replica.terminations}


def _endpoint_lines(endpoint: Endpoint) -> list[Line]:
    result: list[Line] = []
    for replica in endpoint.replicas:
        result += replica.past_lines + (replica.workload.lines() if replica.workload else [])
    return result


def _endpoint_log(
    ws: Workspace, query: Any, body: Any, family: str, name: str, replica: str
) -> Answer:
    return 200, "".join(f"{text}\n" for _, text in sorted(_endpoint_lines(_endpoint(ws, name))))


_ID = r"([^/]+)"
_FAMILY = r"/(deployments|endpoints)"
_ROUTES: tuple[tuple[str, str, Callable[..., Answer]], ...] = (
    ("GET", r"/", _root),
    ("GET", r"/tokens", _tokens),
    ("GET", r"/workspace", _info),
    ("GET", r"/shapes", _shapes),
    ("GET", r"/dedicated-node-groups", _groups),
    ("GET", rf"/dedicated-node-groups/{_ID}", _group),
    ("GET", rf"/dedicated-node-groups/{_ID}/nodes", _nodes),
    ("GET", r"/usersecrets", _secrets),
    ("POST", r"/usersecrets", _make_secrets),
    ("DELETE", rf"/usersecrets/{_ID}", _drop_secret),
    ("GET", r"/jobs", _list_jobs),
    ("POST", r"/jobs", _make_job),
    ("GET", rf"/jobs/{_ID}", _get_job),
    ("PATCH", rf"/jobs/{_ID}", _patch_job),
    ("DELETE", rf"/jobs/{_ID}", _drop_job),
    ("GET", rf"/jobs/{_ID}/events", _job_events),
    ("GET", rf"/jobs/{_ID}/replicas", _job_replicas),
    ("GET", rf"/jobs/{_ID}/replicas/{_ID}/log", _job_log),
    ("GET", r"/logs", _logs),
    ("GET", _FAMILY, _list_endpoints),
    ("POST", _FAMILY, _make_endpoint),
    ("GET", rf"{_FAMILY}/{_ID}", _get_endpoint),
    ("PATCH", rf"{_FAMILY}/{_ID}", _patch_endpoint),
    ("DELETE", rf"{_FAMILY}/{_ID}", _drop_endpoint),
    ("PUT", rf"{_FAMILY}/{_ID}/restart", _restart_endpoint),
    ("GET", rf"{_FAMILY}/{_ID}/replicas", _endpoint_replicas),
    ("GET", rf"{_FAMILY}/{_ID}/replicas/{_ID}/log", _endpoint_log),
    ("GET", rf"{_FAMILY}/{_ID}/events", _endpoint_events),
    ("GET", rf"/deployments/{_ID}/readiness", _readiness),
    ("GET", rf"/deployments/{_ID}/termination", _termination),
)


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
                {**_redacted(e), "loads": e.loads, "requests": e.requests}
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
