"""Models as endpoints of Lepton: one for all evaluations of a model in a run.

An endpoint's name contains a digest of its definition, so a restarted head finds the endpoint and
adopts it. The run has a note of each endpoint from before its creation until it is gone.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import time
from dataclasses import replace
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
from snakeval.executors.lepton import readiness
from snakeval.executors.lepton.api import Platform
from snakeval.executors.lepton.live_logs import copy_endpoint
from snakeval.executors.lepton.notes import Noted, Notes
from snakeval.executors.lepton.platform_states import state_of
from snakeval.executors.lepton.readiness import Report, Wait
from snakeval.executors.lepton.spec import SPEC, options, specification
from snakeval.run.directory import RunDirectory
from snakeval.serving.deployment import Deployment
from snakeval.serving.plan import Plan

_MAX_NAME = 36
#: The variable in which the plugin says the node group of the run's jobs.
NODE_GROUP = "LEPTON_NODE_GROUP"
#: A deletion has failed if the endpoint is still there after so many looks.
_LOOKS = 5
#: How many seconds a deleted endpoint may still take before another can have its name.
_GOING = 300.0


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
        spec = specification(self._platform, plan.deployment, os.environ.get(NODE_GROUP, ""))
        code = digest([str(self._run.absolute()), spec.model_dump()])
        name = _name(options(plan.deployment).endpoint_name or f"snakeval-{plan.name}", code)
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
        wait = Wait(self._platform, note, plan.deployment, token, stop, report, has_key)
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
        jobs = self._platform.jobs_of(self._run.name)
        return next((f"job {j.id}" for j in jobs if j.lives and endpoint.name in j.secrets), "")

    def delete(self, endpoint: Noted) -> None:
        """Delete an endpoint with its key, and look whether it goes.

        Raises:
            EvaluationError: it does not, or that cannot be known; its note stays.
        """
        self._keep_log(endpoint)
        self._platform.delete(endpoint.name)
        for _ in range(_LOOKS):
            found = self._platform.endpoint(endpoint.name)
            if found is None or state_of(found) == "Deleting":
                self._notes.forget(endpoint)
                return
            time.sleep(readiness.POLL)
        raise EvaluationError(f"it was deleted, and is {state_of(found)}")

    def _keep_log(self, endpoint: Noted) -> None:
        """Copy the log into the run, since the platform deletes it with the endpoint."""
        with contextlib.suppress(EvaluationError):  # a log keeps no endpoint
            copy_endpoint(self._platform, self._run, endpoint)

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
            if stop.wait(readiness.POLL):
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


def _name(wanted: str, code: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", wanted.lower()).strip("-")
    fit = plain if plain[:1].isalpha() else f"model-{plain}"
    return f"{fit[: _MAX_NAME - 11].rstrip('-')}-{code[:10]}"


def _mark(endpoint: LeptonDeployment) -> str | None:
    envs = (endpoint.spec.envs if endpoint.spec else None) or []
    return next((env.value for env in envs if env.name == SPEC), None)
