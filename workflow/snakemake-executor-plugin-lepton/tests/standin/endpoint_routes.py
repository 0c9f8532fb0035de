"""The routes of endpoints, of both families."""

from __future__ import annotations

import json
from typing import Any

from standin.answers import Answer, Refused, replica_of
from standin.endpoints import Endpoint
from standin.runner import Line
from standin.workspace import Workspace


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
    return 200, [redacted(endpoint) for endpoint in ws.endpoints.all.values()]


def redacted(endpoint: Endpoint) -> dict[str, Any]:
    """Return an endpoint as the service shows it: without its tokens."""
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
    return 200, redacted(_endpoint(ws, name))


def _patch_endpoint(ws: Workspace, query: Any, body: Any, family: str, name: str) -> Answer:
    endpoint = _endpoint(ws, name)
    merged = _merge(endpoint.body, body)
    endpoint.body.clear()
    endpoint.body.update(merged)
    return 200, redacted(endpoint)


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
    return 200, redacted(endpoint)


def _endpoint_replicas(ws: Workspace, query: Any, body: Any, family: str, name: str) -> Answer:
    return 200, [replica_of(replica.id) for replica in _endpoint(ws, name).replicas]


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


def endpoint_lines(endpoint: Endpoint) -> list[Line]:
    """Return the log of an endpoint."""
    result: list[Line] = []
    for replica in endpoint.replicas:
        result += replica.past_lines + (replica.workload.lines() if replica.workload else [])
    return result


def _endpoint_log(
    ws: Workspace, query: Any, body: Any, family: str, name: str, replica: str
) -> Answer:
    return 200, "".join(f"{text}\n" for _, text in sorted(endpoint_lines(_endpoint(ws, name))))


_ID = r"([^/]+)"
_FAMILY = r"/(deployments|endpoints)"
ROUTES = (
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
