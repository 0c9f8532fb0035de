"""Asks endpoints of tests as the check before a run does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snakeval.config.endpoints import Endpoint
from snakeval.dag.endpoint_words import Finding, Target
from snakeval.dag.endpoints import ask
from support.standing import Said, standing

MODELS, POST = "GET /v1/models", "POST /v1/chat/completions"
TEXTS, VECTORS = "POST /v1/completions", "POST /v1/embeddings"


def found(
    url: str, environment: Mapping[str, str] | None = None, seconds: float = 5, **more: Any
) -> Finding:
    """Ask the endpoint at *url*; *more* are keys of its configuration."""
    endpoint = Endpoint.model_validate({"url": url, "model_id": "m", **more})
    (only,) = ask([Target(("models.m",), endpoint)], environment or {}, seconds)
    return only


def line(finding: Finding) -> str:
    return str(finding.problem).removeprefix("models.m.endpoint.")


def said(answers: Mapping[str, Said], base: str = "/v1", **more: Any) -> tuple[str, bool]:
    """Return the line about an endpoint that answers so, and whether it stops a run."""
    with standing(answers) as server:
        finding = found(server.url + base, **more)
    return line(finding).replace(server.url, "URL"), finding.stops
