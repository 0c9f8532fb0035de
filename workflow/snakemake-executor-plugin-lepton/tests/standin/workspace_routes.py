"""The routes of a workspace: its node groups, shapes and secrets."""

from __future__ import annotations

import time
from typing import Any

from standin.answers import Answer, Refused
from standin.workspace import Workspace


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
    ws.private_secrets |= {e["name"] for e in body if e.get("visibility") == "private"}
    return 200, {}


def _drop_secret(ws: Workspace, query: Any, body: Any, name: str) -> Answer:
    if ws.secrets.pop(name, None) is None:
        raise Refused(404, f"no secret {name}")
    return 200, {}


ROUTES = (
    ("GET", r"/", _root),
    ("GET", r"/tokens", _tokens),
    ("GET", r"/workspace", _info),
    ("GET", r"/shapes", _shapes),
    ("GET", r"/dedicated-node-groups", _groups),
    ("GET", r"/dedicated-node-groups/([^/]+)", _group),
    ("GET", r"/dedicated-node-groups/([^/]+)/nodes", _nodes),
    ("GET", r"/usersecrets", _secrets),
    ("POST", r"/usersecrets", _make_secrets),
    ("DELETE", r"/usersecrets/([^/]+)", _drop_secret),
)
