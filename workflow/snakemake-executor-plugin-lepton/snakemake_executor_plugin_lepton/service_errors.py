"""Turns errors of the vendor's SDK into this package's, and decides whether a retry can help."""

from __future__ import annotations

import requests
from leptonai.api.v2.api_resource import ClientError, ServerError
from leptonai.api.v2.log import LogAPIError
from leptonai.api.v2.utils import (
    WorkspaceForbiddenError,
    WorkspaceNotFoundError,
    WorkspaceUnauthorizedError,
)

from snakemake_executor_plugin_lepton.errors import ServiceError

#: A server may ask for a longer wait; the next poll then tries again.
MAX_RETRY_AFTER = 60.0

LOGIN = (
    "Log in with `lep login -c WORKSPACE:TOKEN`, or set LEPTON_WORKSPACE_ID and "
    "LEPTON_WORKSPACE_TOKEN"
)


def problem_of(
    what: str, error: Exception, workspace: str, url: str
) -> tuple[ServiceError, float | None]:
    """Return the error, and the minimum wait before the next try (None: do not try again)."""
    if isinstance(error, (ClientError, ServerError)):
        status = int(error.response.status_code)
        after = _seconds(error.response.headers.get("Retry-After"))
        return _refused(what, status, error.response.text, after, workspace)
    if isinstance(error, LogAPIError):
        status = int(error.status_code or 0)
        return _refused(what, status, str(error), error.retry_after, workspace)
    if isinstance(error, WorkspaceUnauthorizedError):
        return _refused(what, 401, "", None, workspace)
    if isinstance(error, WorkspaceForbiddenError):
        return _refused(what, 403, "", None, workspace)
    if isinstance(error, WorkspaceNotFoundError):
        return _refused(what, 404, f"no workspace {workspace}", None, workspace)
    if isinstance(error, requests.RequestException):
        text = f"Could not {what}: {url} does not answer ({type(error).__name__})"
        return ServiceError(text), 0.0
    if isinstance(error, RuntimeError):  # an answer that the SDK cannot read
        return ServiceError(f"Could not {what}: {str(error).splitlines()[0]}"), 0.0
    if isinstance(error, ValueError):  # the SDK rejects it before a request
        return ServiceError(f"Could not {what}: {error}", 400), None
    raise error


def _refused(
    what: str, status: int, text: str, after: float | None, workspace: str
) -> tuple[ServiceError, float | None]:
    told = f"Could not {what}: HTTP {status}"
    if status == 401:
        told += f", the token is wrong or has expired. {LOGIN}"
    elif status == 403:
        told += f", the token may not do that in the workspace {workspace}"
    if text and status not in (401, 403):
        told += f" ({' '.join(text.split())[:300]})"
    again = status in (0, 408, 429) or status >= 500
    wait = min(after or 0.0, MAX_RETRY_AFTER) if again else None
    return ServiceError(told + ".", status), wait


def _seconds(header: str | None) -> float | None:
    try:
        return float(header or "")
    except ValueError:
        return None
