"""What routes answer, and how they read a request's query."""

from __future__ import annotations

from typing import Any

Answer = tuple[int, Any]


class Refused(Exception):
    """An answer that is an error: status, message."""


def one(query: dict[str, list[str]], name: str, default: str = "") -> str:
    """Return the value of a query's parameter."""
    return query.get(name, [default])[0]


def replica_of(id: str) -> dict[str, Any]:
    """Return a replica as the service shows it."""
    status = {"node": {"id": "node-1", "name": "node-1"}, "public_ip": None, "domains": []}
    return {"id": id, "metadata": {"id": id}, "status": status}
