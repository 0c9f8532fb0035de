"""Sends requests to a workspace of Lepton: retries them, and turns the library's errors to text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import requests
from leptonai.api.v2.api_resource import ClientError, ServerError
from leptonai.api.v2.client import APIClient
from leptonai.api.v2.log import LogAPIError
from leptonai.api.v2.utils import (
    WorkspaceForbiddenError,
    WorkspaceNotFoundError,
    WorkspaceUnauthorizedError,
)
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from snakeval.errors import EvaluationError

T = TypeVar("T")

#: Seconds between tries of one request.
BACKOFF = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
#: Seconds to wait for an answer.
TIMEOUT = 60.0

LOGIN = "`lep login -c WORKSPACE:TOKEN`, or set LEPTON_WORKSPACE_ID and LEPTON_WORKSPACE_TOKEN"


class PlatformError(EvaluationError):
    """The platform refused a request, or did not answer.

    Attributes:
        wait: the least number of seconds before a retry; None if a retry cannot help.
    """

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class RefusedError(PlatformError):
    """The platform answered with an error. ``status``: the status of HTTP."""

    def __init__(self, message: str, status: int, wait: float | None) -> None:
        super().__init__(message, wait)
        self.status = status


class WorkspaceRequests:
    """The requests to a workspace, by the variables and the login that ``lep`` uses."""

    def __init__(
        self, backoff: tuple[float, ...] | None = None, timeout: float | None = None
    ) -> None:
        """Find the workspace and its token; nothing is sent yet.

        Raises:
            EvaluationError: there are none.
        """
        self._backoff = BACKOFF if backoff is None else backoff
        try:
            self._client = APIClient()
            if str(self._client.url).endswith("/"):  # the library only appends to it
                url = str(self._client.url).rstrip("/")
                self._client = APIClient(self.workspace, self.token, url)
        except (RuntimeError, TypeError):  # TypeError: there is no token
            raise EvaluationError(f"no Lepton workspace or no token is known; {LOGIN}") from None
        # There is no public way to say it; the library's two minutes are long.
        self._client._timeout = timeout or TIMEOUT

    @property
    def workspace(self) -> str:
        """The id of the workspace."""
        return str(self._client.workspace_id)

    @property
    def token(self) -> str:
        """The token of the workspace."""
        return str(self._client.auth_token)

    def _ask(self, what: str, request: Callable[[Any], T]) -> T:
        """Send a request; retry it if that can help. Every request here may be sent twice."""

        def send() -> T:
            try:
                return request(self._client)
            except Exception as error:
                problem = problem_of(what, error, self.workspace, str(self._client.url))
                raise problem from None

        def pause(state: RetryCallState) -> float:
            problem = state.outcome and state.outcome.exception()
            least = problem.wait if isinstance(problem, PlatformError) else None
            # tenacity also calls this after the last attempt, when `backoff` has no pause left.
            return max((*self._backoff, 0.0)[state.attempt_number - 1], least or 0.0)

        retrying = Retrying(
            stop=stop_after_attempt(len(self._backoff) + 1),
            wait=pause,
            retry=retry_if_exception(lambda e: isinstance(e, PlatformError) and e.wait is not None),
            reraise=True,
        )
        return retrying(send)


def problem_of(what: str, error: Exception, workspace: str, url: str) -> PlatformError:
    """Return the error to report; raise *error* if it is none of the platform's."""
    match error:
        case ClientError() | ServerError():
            status, text = int(error.response.status_code), str(error.response.text)
            after = str(error.response.headers.get("Retry-After") or "")
        case LogAPIError():
            status, text, after = int(error.status_code or 0), "", str(error.retry_after or "")
        case WorkspaceUnauthorizedError():
            status, text, after = 401, "", ""
        case WorkspaceForbiddenError():
            status, text, after = 403, "", ""
        case WorkspaceNotFoundError():
            status, text, after = 404, f"no workspace {workspace}", ""
        case requests.RequestException():
            told = f"could not {what}: {url} does not answer"
            return PlatformError(f"{told} ({type(error).__name__})", 0.0)
        case RuntimeError() | ValueError() | TypeError() | AttributeError() | KeyError():
            # The library raises these for an answer that it did not expect.
            return PlatformError(f"could not {what}: its answer cannot be read", 0.0)
        case _:
            raise error
    why = {
        401: f", the token is wrong or has expired; {LOGIN}",
        403: f", the token may not do that in the workspace {workspace}",
    }.get(status, f" ({' '.join(text.split())[:200]})" if text else "")
    again = status in (0, 408, 429) or status >= 500
    wait = min(float(after), 60.0) if after.replace(".", "", 1).isdigit() else 0.0
    return RefusedError(f"could not {what}: HTTP {status}{why}", status, wait if again else None)
