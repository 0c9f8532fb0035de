"""Models as endpoints of Lepton: one for all evaluations of a model in a run.

An endpoint's name contains a digest of its definition, so a restarted head finds the endpoint and
adopts it. The run has a note of each endpoint from before its creation until it is gone.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Event

from leptonai.api.v2.types.common import LeptonVisibility, Metadata
from leptonai.api.v2.types.deployment import (
    LeptonDeployment,
    LeptonDeploymentUserSpec,
    ResourceRequirement,
    TokenVar,
)

from snakeval.errors import EvaluationError, Interrupted
from snakeval.evaluation.definition import digest
from snakeval.executors.lepton.api import Platform
from snakeval.executors.lepton.notes import Noted, Notes
from snakeval.executors.lepton.platform_states import state_of
from snakeval.executors.lepton.spec import SPEC, options, specification
from snakeval.files import DAMAGE, json_value
from snakeval.run.directory import RunDirectory
from snakeval.serving.deployment import Deployment
from snakeval.serving.plan import Plan

Report = Callable[[str], None]

_MAX_NAME = 36
#: Seconds between two looks at an endpoint.
_POLL = 2.0
#: A deletion has failed if the endpoint is still there after so many looks.
_LOOKS = 5
#: How many seconds a deleted endpoint may still take before another can have its name.
_GOING = 300.0
#: For so many seconds, another model's list or a refused key only means that the endpoint starts.
_PATIENCE = 60.0


class Endpoints:
    """The endpoints of a run."""

    def __init__(self, run: RunDirectory, platform: Platform | None = None) -> None:
        self._run = run
        self._notes = Notes(run)
        self._platform = platform or Platform()

    def serve(self, plan: Plan, stop: Event, report: Report) -> Noted:
        """Return the endpoint of *plan*, ready: adopted, woken or made.

        Raises:
            EvaluationError: it does not get ready.
            Interrupted: *stop* was set.
        """
        self._platform.check()
        spec = specification(self._platform, plan.deployment)
        name = _name(plan.name, digest([str(self._run.absolute()), spec.model_dump()]))
        note = Noted(plan.name, name)
        for other in self._notes.all():
            if other.name == name:
                note = replace(other, superseded=False)
            elif other.model == plan.name and (asking := self._asking(other)):
                report(f"keeps {other.name}, which serves another definition: {asking} asks it")
                self._notes.write(replace(other, superseded=True))
            elif other.model == plan.name:
                report(f"deletes {other.name}, which serves another definition")
                self.delete(other)
        self._notes.write(note)
        token = self._token(name)
        found = self._standing(name, stop, report)
        if found is not None and _mark(found) != spec.envs[0].value:
            raise EvaluationError(
                f"endpoint {name} is not of this run; delete it: lep endpoint remove"
            )
        has_secret = self._platform.keep_secret(name, token)
        if found is None:
            note = replace(note, url="")
            spec.api_tokens = [TokenVar(value=token)]
            metadata = Metadata(name=name, visibility=LeptonVisibility.PRIVATE)
            self._platform.create(LeptonDeployment(metadata=metadata, spec=spec))
            report(f"made endpoint {name} ({spec.resource_requirement.resource_shape})")
        else:
            report(f"adopts endpoint {name}")
            self._wake(name, plan.deployment)
        # The key of one that was ready before is of an earlier token, perhaps; jobs have it then.
        has_key = bool(note.url) and has_secret
        wait = _Wait(self._platform, note, plan.deployment, token, stop, report, has_key)
        url = wait.until_ready(lambda: self._wake(name, plan.deployment))
        if not url:
            self.delete(note)
            raise EvaluationError(
                f"deployment failed: {name} was created with another token of the workspace; it is "
                "deleted, and the same command creates it again"
            )
        ready = replace(note, url=url)
        self._notes.write(ready)
        return ready

    def end(self, report: Report) -> None:
        """Delete all endpoints of the run. If one stays, report it and keep its note."""
        for endpoint in self._notes.all():
            self.end_one(endpoint, report)

    def end_one(self, endpoint: Noted, report: Report) -> None:
        """Delete an endpoint that no live job asks; if that fails, report it and keep the note."""
        try:
            if asking := self._asking(endpoint):
                report(f"keeps endpoint {endpoint.name} of {endpoint.model}: {asking} asks it")
                return
            self.delete(endpoint)
            report(f"deleted endpoint {endpoint.name} of {endpoint.model}")
        except EvaluationError as error:
            report(f"endpoint {endpoint.name} may still run: {error}; the same command tries again")

    def _asking(self, endpoint: Noted) -> str:
        """Return a live job that has the endpoint's key, if there is one."""
        jobs = (job for job in self._platform.jobs_of(self._run.name) if job.lives)
        return next((f"job {job.id}" for job in jobs if endpoint.name in job.secrets), "")

    def delete(self, endpoint: Noted) -> None:
        """Delete an endpoint with its key, and look whether it goes.

        Raises:
            EvaluationError: it does not, or that cannot be known; its note stays.
        """
        self._platform.delete(endpoint.name)
        for _ in range(_LOOKS):
            found = self._platform.endpoint(endpoint.name)
            if found is None or state_of(found) == "Deleting":
                self._notes.forget(endpoint)
                return
            time.sleep(_POLL)
        raise EvaluationError(f"it was deleted, and is {state_of(found)}")

    # --- one endpoint ---------------------------------------------------------------------

    def _token(self, name: str) -> str:
        """Return the endpoint's key: made of the workspace's, so that it is kept nowhere."""
        key = self._platform.token.encode()
        return hmac.new(key, f"snakeval {name}".encode(), hashlib.sha256).hexdigest()

    def _standing(self, name: str, stop: Event, report: Report) -> LeptonDeployment | None:
        """Return the endpoint, if there is one; one that is being deleted is waited out."""
        until = time.monotonic() + _GOING
        while (found := self._platform.endpoint(name)) and state_of(found) == "Deleting":
            if time.monotonic() > until:
                raise EvaluationError(
                    f"deployment failed: {name} is being deleted since {_GOING:.0f} s; the same "
                    "command tries again"
                )
            report(f"waits until {name} is deleted")
            if stop.wait(_POLL):
                raise Interrupted
        return found

    def _wake(self, name: str, deployment: Deployment) -> None:
        """Ask for its replicas: one that the platform scaled to zero does not wake by traffic."""
        asked = options(deployment)
        change = ResourceRequirement(
            min_replicas=asked.min_replicas,
            max_replicas=asked.max_replicas or asked.min_replicas,
        )
        spec = LeptonDeploymentUserSpec(resource_requirement=change)
        self._platform.scale(name, LeptonDeployment(spec=spec))


@dataclass(frozen=True, slots=True)
class _Shown:
    """The state of an endpoint that was reported last."""

    state: str = ""
    queued: bool = False

    def __str__(self) -> str:
        return f"{self.state}, and waits for a node" if self.queued else self.state


@dataclass
class _Wait:
    """Waits until an endpoint is ready; ``has_key``: jobs have its key, whatever it is."""

    platform: Platform
    note: Noted
    deployment: Deployment
    token: str
    stop: Event
    report: Report
    has_key: bool

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
            if other_since is not None and time.monotonic() - other_since > _PATIENCE:
                if not answer.models:
                    return ""
                raise EvaluationError(
                    f"deployment failed: /v1/models does not list "
                    f"'{self.deployment.definition.served_model_name}', but "
                    f"{', '.join(answer.models)}; correct served_model_name"
                )
            if state == "Stopped":  # it took longer to load than it is kept without requests
                wake()
            if state in ("Not Ready", "Starting", "Error") and self._is_queued():
                shown = self._show(shown, state, queued=True)
                until = time.monotonic() + serving.readiness_timeout
            self.stop.wait(_POLL)
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
        trouble = self.platform.trouble(name)
        if trouble.hopeless or trouble.deaths > limit:
            why = trouble.hopeless or f"{trouble.death}, {trouble.deaths} times"
            lines = self.platform.last_lines(name)
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


def _name(model: str, code: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-") or "model"
    return f"{f'snakeval-{plain}'[: _MAX_NAME - 11].rstrip('-')}-{code[:10]}"


def _mark(endpoint: LeptonDeployment) -> str | None:
    envs = (endpoint.spec.envs if endpoint.spec else None) or []
    return next((env.value for env in envs if env.name == SPEC), None)
