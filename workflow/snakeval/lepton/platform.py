"""The platform's library, with what it lacks: repeated requests, and sentences for its errors."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import requests
from leptonai.api.v2.api_resource import ClientError, ServerError
from leptonai.api.v2.client import APIClient
from leptonai.api.v2.types.deployment import LeptonDeployment
from leptonai.api.v2.types.secret import SecretItem

from snakeval.errors import EvaluationError
from snakeval.lepton import EVALUATION, RUN

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job:
    """A job of one of our evaluations."""

    id: str
    evaluation: str
    state: str


#: Seconds between tries of one request.
BACKOFF = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)


class Platform:
    """A workspace, by the variables and the login that ``lep`` uses."""

    def __init__(self, backoff: tuple[float, ...] = BACKOFF) -> None:
        self._backoff = backoff
        try:
            self._client = APIClient()
        except (RuntimeError, TypeError):  # TypeError: there is no token
            raise EvaluationError(
                "no Lepton workspace or no token is known; `lep login -c WORKSPACE:TOKEN`, or set "
                "LEPTON_WORKSPACE_ID and LEPTON_WORKSPACE_TOKEN"
            ) from None

    @property
    def token(self) -> str:
        """The token of the workspace."""
        return str(self._client.auth_token)

    @property
    def new_routes(self) -> bool:
        """Whether endpoints have the newer of two families of routes."""
        # The first use decides for the whole process, and a failure decides for the old ones.
        self._ask("ask for the workspace", lambda c: c.info())
        return bool(self._client.new_deployment_api_enabled)

    def endpoint(self, name: str) -> LeptonDeployment | None:
        """Return an endpoint, or None if there is none of that name."""
        try:
            return self._ask(f"ask for endpoint {name}", lambda c: c.deployment.get(name))
        except _Refused as refused:
            if refused.status == 404:
                return None
            raise

    def create(self, endpoint: LeptonDeployment) -> None:
        """Create an endpoint. That there is one of its name is no error: names have digests."""
        try:
            self._ask(
                f"create endpoint {endpoint.metadata.name}",
                lambda c: c.deployment.create_with_response(endpoint),
            )
        except _Refused as refused:
            if refused.status != 409:  # made by the first of two tries, too
                raise

    def scale(self, name: str, change: LeptonDeployment) -> None:
        """Change an endpoint."""
        self._ask(f"change endpoint {name}", lambda c: c.deployment.update(name, change))

    def delete(self, name: str) -> None:
        """Delete an endpoint and the secret of its name, where they are."""
        for what, request in (
            ("endpoint", lambda c: c.deployment.delete(name)),
            ("secret", lambda c: c.secret.delete(name)),
        ):
            try:
                self._ask(f"delete {what} {name}", request)
            except _Refused as refused:
                if refused.status != 404:
                    raise

    def jobs_of(self, run: str) -> list[Job]:
        """Return the jobs of a run, known by their environment, that were not deleted."""
        found = []
        for job in self._ask("list jobs", lambda c: c.job.list_all(job_query_mode="alive_only")):
            env = {var.name: var.value for var in job.spec.envs or []}
            if env.get(RUN) == run:
                state = job.status.state.value if job.status and job.status.state else "unknown"
                found.append(Job(str(job.metadata.id_), str(env.get(EVALUATION)), state))
        return found

    def describe(self, name: str) -> str:
        """Say how an endpoint is."""
        found = self.endpoint(name)
        if found is None or found.status is None:
            return f"endpoint {name} is gone"
        state = (found.status.phase or found.status.state).value
        replicas = found.spec.resource_requirement.min_replicas
        return f"endpoint {name} is {state}, of {replicas} replicas"

    def delete_job(self, job: str) -> None:
        """Delete a job, running or not."""
        try:
            self._ask(f"delete job {job}", lambda c: c.job.delete(job))
        except _Refused as refused:
            if refused.status != 404:
                raise

    def keep_secret(self, name: str, value: str) -> None:
        """Make a secret, unless it is there."""
        if name not in self.secrets():
            item = SecretItem(name=name, value=value)
            self._ask(f"make secret {name}", lambda c: c.secret.create([item]))

    def secrets(self) -> frozenset[str]:
        """Return the names of the secrets."""
        return frozenset(s.name for s in self._ask("list secrets", lambda c: c.secret.list_all()))

    def troubles(self, name: str) -> list[str]:
        """Return why replicas do not run, as far as it is told."""
        if self.new_routes:
            events = self._ask("read events", lambda c: c.deployment.get_events(name))
            return [event.reason for event in events if event.type_ == "Warning"]
        ready = self._ask("read readiness", lambda c: c.deployment.get_readiness(name)).root
        ended = self._ask("read terminations", lambda c: c.deployment.get_termination(name)).root
        told = [i.reason.value for issues in ready.values() for i in issues]
        return [reason for reason in told if reason == "ConfigError"] + [
            f"exit code {end.exit_code}" for ends in ended.values() for end in ends
        ]

    def last_lines(self, name: str, number: int = 3) -> list[str]:
        """Return the end of an endpoint's log."""
        now = time.time_ns()
        try:
            answer = self._ask(
                "read the log",
                lambda c: c.log.get_log(
                    name_or_deployment=name, start=str(now - 86400 * 10**9), end=str(now), limit=50
                ),
            )
        except EvaluationError:
            return []  # it only explains
        streams = (answer.get("data") or {}).get("result") or []
        lines = sorted((int(at), text) for s in streams for at, text in s.get("values") or [])
        return [text.strip() for _, text in lines if text.strip()][-number:]

    def node_group(self, name: str) -> str:
        """Return the id of a node group of that name or id."""
        groups = self._ask("list node groups", lambda c: c.nodegroup.list_all())
        for group in groups:
            if name in (group.metadata.name, group.metadata.id_):
                return str(group.metadata.id_)
        known = ", ".join(sorted(str(g.metadata.name) for g in groups))
        raise EvaluationError(f"no node group {name}; there are {known}")

    def shape(self, gpus: int, group: str | None) -> str:
        """Return the smallest shape with so many GPUs."""
        shapes = self._ask(
            "list shapes", lambda c: c.shapes.list_shapes(node_group=group, purpose="deployment")
        )
        fitting = [s for s in shapes if (s.spec.accelerator_num or 0) >= gpus]
        if not fitting:
            raise EvaluationError(f"no resource shape has {gpus} GPUs; set deployment.lepton")
        size = lambda s: (s.spec.accelerator_num or 0, s.spec.cpu or 0)  # noqa: E731
        return str(min(fitting, key=size).metadata.id_)

    def _ask(self, what: str, request: Callable[[Any], T]) -> T:
        for pause in (*self._backoff, None):
            try:
                return request(self._client)
            except (ClientError, ServerError) as error:
                status = int(error.response.status_code)
                told = f"could not {what}: HTTP {status} ({' '.join(error.response.text.split())})"
                if pause is None or (status < 500 and status not in (408, 429)):
                    raise _Refused(told, status) from None
                after = error.response.headers.get("Retry-After") or "0"
                time.sleep(max(pause, min(float(after), 60) if after.isdigit() else 0))
            except (requests.RequestException, RuntimeError) as error:
                if pause is None:
                    raise EvaluationError(f"could not {what}: {str(error)[:200]}") from None
                time.sleep(pause)
        raise AssertionError  # the last turn returns or raises


class _Refused(EvaluationError):
    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status
