"""Waits until a model's endpoint on Lepton is ready and lists its model."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from snakeval.errors import EvaluationError, Interrupted
from snakeval.executors.lepton.api import Platform
from snakeval.executors.lepton.live_logs import last_lines
from snakeval.executors.lepton.notes import Noted
from snakeval.executors.lepton.platform_states import state_of
from snakeval.executors.lepton.spec import options
from snakeval.files import DAMAGE, json_value
from snakeval.ledger.plain_text import listed
from snakeval.serving.deployment import Deployment

Report = Callable[[str], None]

#: Seconds between two looks at an endpoint.
POLL = 2.0
#: For so many seconds, another model's list or a refused key only means that the endpoint starts.
PATIENCE = 60.0
#: A refusal of the definition that lasts for so many seconds does not pass.
REFUSED = 30.0


@dataclass(frozen=True, slots=True)
class _Shown:
    """The state of an endpoint that was reported last."""

    state: str = ""
    queued: bool = False

    def __str__(self) -> str:
        return f"{self.state}, and waits for a node" if self.queued else self.state


@dataclass
class Wait:
    """Waits until an endpoint is ready; ``has_key``: jobs have its key, whatever it is."""

    platform: Platform
    note: Noted
    deployment: Deployment
    token: str
    stop: Event
    report: Report
    has_key: bool
    #: Since when it has waited for a node, and since when the platform has refused its definition.
    queued_since: float | None = None
    refused_since: float | None = None

    def until_ready(self, wake: Callable[[], None]) -> str:
        """Return the URL of its route; empty if the endpoint keeps refusing the key.

        Raises:
            EvaluationError: it does not get ready.
            Interrupted: ``stop`` was set.
        """
        serving, name = self.deployment.serving, self.note.name
        until = time.monotonic() + serving.readiness_timeout
        shown, other_since = _Shown(), None
        while time.monotonic() < until:
            if self.stop.is_set():
                raise Interrupted
            found = self.platform.endpoint(name)
            if found is None:
                raise EvaluationError(f"deployment failed: endpoint {name} is gone")
            state = state_of(found)
            shown = self._show(shown, state)
            answer = _Answer()
            if state == "Ready":
                # It says that the port answers, not that the model is loaded.
                base = str(found.status.endpoint.external_endpoint).rstrip("/")
                answer = _models(base + serving.models_path, self.token)
                denied = answer.status in (401, 403)
                if self._serves(answer) or (denied and self.has_key):
                    return base + self.deployment.definition.path
                if denied or answer.models:
                    other_since = other_since or time.monotonic()
            if other_since is not None and time.monotonic() - other_since > PATIENCE:
                if not answer.models:
                    return ""
                raise EvaluationError(
                    f"deployment failed: /v1/models does not list "
                    f"'{self.deployment.definition.served_model_name}', but "
                    f"{listed(answer.models)}; correct served_model_name"
                )
            if state == "Stopped":  # it took longer to load than it is kept without requests
                wake()
            if state in ("Not Ready", "Starting", "Error") and self._is_queued():
                shown = self._show(shown, state, queued=True)
                until = time.monotonic() + serving.readiness_timeout
            self.stop.wait(POLL)
        raise EvaluationError(
            f"deployment failed: {name} is not ready after {serving.readiness_timeout} s "
            f"(it is {shown}); raise readiness_timeout"
        )

    def _show(self, shown: _Shown, state: str, *, queued: bool = False) -> _Shown:
        """Report a new state, or that it waits for a node now; return what was reported last."""
        if state != shown.state or (queued and not shown.queued):
            shown = _Shown(state, queued)
            self.report(f"{self.note.name} is {shown}")
        return shown

    def _serves(self, answer: _Answer) -> bool:
        return self.deployment.definition.served_model_name in answer.models

    def _is_queued(self) -> bool:
        """Whether it waits for a node. A problem that waiting does not solve raises an error."""
        name, limit = self.note.name, self.deployment.serving.max_restarts
        trouble, now = self.platform.trouble(name), time.monotonic()
        self.refused_since = (self.refused_since or now) if trouble.refused else None
        self.queued_since = (self.queued_since or now) if trouble.queued else None
        longest = options(self.deployment).queue_timeout
        if self.queued_since is not None and now - self.queued_since > longest:
            raise EvaluationError(
                f"deployment failed: {name} has waited for a node for {longest} s; choose another "
                "node_group or resource_shape, or raise deployment.lepton.queue_timeout"
            )
        refused = ""
        if self.refused_since is not None and now - self.refused_since > REFUSED:
            refused = trouble.refused
        if trouble.hopeless or refused or trouble.deaths > limit:
            why = trouble.hopeless or refused or f"{trouble.death}, {trouble.deaths} times"
            lines = last_lines(self.platform, name)
            said = f"; its log ends: {' / '.join(lines)}" if lines else ""
            raise EvaluationError(f"deployment failed: {why}{said}")
        return trouble.queued


@dataclass(frozen=True, slots=True)
class _Answer:
    """An endpoint's answer to a request for its models; status 0 means no answer."""

    status: int = 0
    models: tuple[str, ...] = ()


def _models(url: str, token: str) -> _Answer:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return _Answer(
                answer.status, tuple(str(e["id"]) for e in json_value(answer.read())["data"])
            )
    except urllib.error.HTTPError as error:
        return _Answer(error.code)
    except (OSError, http.client.HTTPException, *DAMAGE):
        return _Answer()
