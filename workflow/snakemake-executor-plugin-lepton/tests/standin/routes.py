"""All routes of the service's contract. The log's route serves jobs and endpoints."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from standin import endpoint_routes, job_routes, workspace_routes
from standin.answers import Answer, Refused, one
from standin.endpoint_routes import endpoint_lines
from standin.workspace import Workspace


def route(ws: Workspace, method: str, path: str, body: Any) -> Answer:
    """Answer a request.

    Raises:
        Refused: the answer is an error.
    """
    split = urlsplit(path)
    query = parse_qs(split.query)
    for verb, pattern, function in _ROUTES:
        if verb == method and (found := re.fullmatch(pattern, split.path)):
            return function(ws, query, body, *found.groups())
    raise Refused(404, f"no route {method} {split.path}")


def _logs(ws: Workspace, query: dict[str, list[str]], body: Any) -> Answer:
    """Answer like Loki."""
    if name := one(query, "job") or one(query, "job_history_name"):
        job = ws.jobs.all.get(name)
        lines = job.lines() if job else []
    else:
        endpoint = ws.endpoints.all.get(one(query, "endpoint") or one(query, "deployment"))
        lines = endpoint_lines(endpoint) if endpoint else []
    start, end = int(one(query, "start", "0")), int(one(query, "end", "0"))
    if end:
        lines = [line for line in lines if start <= line[0] <= end]
    wanted = one(query, "q")
    lines = sorted(line for line in lines if wanted in line[1])
    if one(query, "direction", "backward") == "backward":
        lines.reverse()
    values = [[str(at), text] for at, text in lines[: int(one(query, "limit", "5000"))]]
    return 200, {"data": {"result": [{"stream": {}, "values": values}] if values else []}}


_ROUTES: tuple[tuple[str, str, Callable[..., Answer]], ...] = (
    *workspace_routes.ROUTES,
    *job_routes.ROUTES,
    ("GET", r"/logs", _logs),
    *endpoint_routes.ROUTES,
)
