"""The platform's library, with what it lacks: repeated requests, and sentences for its errors."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import count
from typing import Any, TypeVar

import requests
from leptonai.api.v2.api_resource import ClientError, ServerError
from leptonai.api.v2.client import (
    APIClient,
    DeploymentFeatureSnapshotMismatchError,
    reset_new_deployment_api_flag_cache,
)
from leptonai.api.v2.log import LogAPIError
from leptonai.api.v2.types.deployment import LeptonDeployment
from leptonai.api.v2.types.job import LeptonJobQueryMode
from leptonai.api.v2.types.secret import SecretItem
from leptonai.api.v2.types.workspace import WorkspaceInfo, WorkspaceState
from leptonai.api.v2.utils import (
    WorkspaceForbiddenError,
    WorkspaceNotFoundError,
    WorkspaceUnauthorizedError,
)
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from snakeval.errors import EvaluationError
from snakeval.executors.lepton import EVALUATION, RUN

T = TypeVar("T")

#: Seconds between tries of one request.
BACKOFF = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
#: Seconds to wait for an answer.
TIMEOUT = 60.0

_PAGE = 500
_LOGIN = "`lep login -c WORKSPACE:TOKEN`, or set LEPTON_WORKSPACE_ID and LEPTON_WORKSPACE_TOKEN"
#: States of jobs that have ended, and of those that were deleted.
_ENDED, _DELETED = ("Completed", "Failed", "Stopped"), ("Deleting", "Deleted", "Archived")
#: Kubernetes' reasons that do not pass by themselves, as the platform's events show them.
_HOPELESS = {
    "InvalidImageName": "the name of its image is not valid",
    "ErrImagePull": "its image cannot be pulled",
    "ErrImageNeverPull": "its image cannot be pulled",
    "ImagePullBackOff": "its image cannot be pulled",
    "CreateContainerConfigError": "its container cannot be created (a secret or volume is missing)",
    "FailedMount": "a volume cannot be mounted",
    "ConfigError": "its definition cannot be run",
}
#: A first failed pull may be the registry's hiccup.
_ENOUGH = 3
#: The platform's reasons of replicas that wait for a node.
_QUEUED = ("NoCapacity", "Queueing")


@dataclass(frozen=True, slots=True)
class Job:
    """A job of an evaluation that snakeval submitted."""

    id: str
    evaluation: str
    state: str

    @property
    def lives(self) -> bool:
        """Whether it waits or runs."""
        return self.state not in _ENDED

    def __str__(self) -> str:
        """Say what is to be known of it; its name is the one of ``lep job list``."""
        return f"Lepton job {self.id} is {self.state}"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why replicas do not run.

    Attributes:
        hopeless: a reason that does not pass by itself; empty if there is none.
        deaths: how often a replica has ended, and how the last one did.
        queued: whether all of them wait for a node.
    """

    hopeless: str = ""
    deaths: int = 0
    death: str = ""
    queued: bool = False


def state_of(endpoint: LeptonDeployment) -> str:
    """Return an endpoint's state. With the older routes, only the phase shows a stopped one."""
    status = endpoint.status
    return str((status.phase or status.state).value) if status else "unknown"


def wanted_replicas(endpoint: LeptonDeployment) -> int:
    """Return how many replicas the platform wants to run now."""
    scaler = endpoint.status.autoscaler_status if endpoint.status else None
    if state_of(endpoint) != "Stopped" and scaler and scaler.desired_replicas is not None:
        return int(scaler.desired_replicas)
    needs = endpoint.spec.resource_requirement if endpoint.spec else None
    return int((needs.min_replicas if needs else 0) or 0)


class PlatformError(EvaluationError):
    """The platform refused a request, or did not answer.

    Attributes:
        wait: the least number of seconds before a retry; None if a retry cannot help.
    """

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class Platform:
    """A workspace, by the variables and the login that ``lep`` uses."""

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
        except (RuntimeError, TypeError):  # TypeError: there is no token
            raise EvaluationError(f"no Lepton workspace or no token is known; {_LOGIN}") from None
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

    def check(self) -> None:
        """Ask whether the workspace is there and takes work.

        Raises:
            EvaluationError: it does not.
        """
        state = self._info.workspace_state
        if state not in (WorkspaceState.Normal, WorkspaceState.Unknown):
            raise EvaluationError(
                f"the Lepton workspace {self.workspace} is {state.value}, so that nothing runs "
                "there; its administrator can resume it"
            )

    @cached_property
    def _info(self) -> WorkspaceInfo:
        """The workspace's state. Reading it also finds out which routes of endpoints it has."""

        def ask(client: Any) -> WorkspaceInfo:
            try:
                return client.deployment_feature_snapshot()
            except DeploymentFeatureSnapshotMismatchError:
                # The library takes a failure for "the older routes", for the whole process.
                reset_new_deployment_api_flag_cache(client.url)
                raise

        return self._ask(f"ask for the workspace {self.workspace}", ask)

    @property
    def new_routes(self) -> bool:
        """Whether endpoints have the newer of two families of routes."""
        return bool(self._info and self._client.new_deployment_api_enabled)

    # --- endpoints ------------------------------------------------------------------------

    def _ask_endpoints(self, what: str, request: Callable[[Any], T]) -> T:
        """Send a request about endpoints: the routes are known before."""
        assert self._info is not None
        return self._ask(what, request)

    def endpoint(self, name: str) -> LeptonDeployment | None:
        """Return an endpoint, or None if there is none of that name."""
        try:
            return self._ask_endpoints(f"ask for endpoint {name}", lambda c: c.deployment.get(name))
        except _Refused as refused:
            if refused.status == 404:
                return None
            raise

    def endpoints(self) -> dict[str, LeptonDeployment]:
        """Return all endpoints of the workspace, by their names."""
        found = self._ask_endpoints("list endpoints", lambda c: c.deployment.list_all())
        return {str(e.metadata.name or e.metadata.id_): e for e in found if e.metadata}

    def create(self, endpoint: LeptonDeployment) -> None:
        """Create an endpoint, unless one of its name exists: a name contains a digest."""
        try:
            self._ask_endpoints(
                f"create endpoint {endpoint.metadata.name}",
                lambda c: c.deployment.create_with_response(endpoint),
            )
        except _Refused as refused:
            if refused.status != 409:  # an earlier try may have created it
                raise

    def scale(self, name: str, change: LeptonDeployment) -> None:
        """Change an endpoint."""
        self._ask_endpoints(f"change endpoint {name}", lambda c: c.deployment.update(name, change))

    def delete(self, name: str) -> None:
        """Delete an endpoint and the secret of its name, where they are."""
        for what, request in (
            ("endpoint", lambda c: c.deployment.delete(name)),
            ("secret", lambda c: c.secret.delete(name)),
        ):
            try:
                self._ask_endpoints(f"delete {what} {name}", request)
            except _Refused as refused:
                if refused.status != 404:
                    raise

    def ready_replicas(self, endpoint: LeptonDeployment) -> int:
        """Return how many replicas are ready. Older routes need a second request for several."""
        if endpoint.status and endpoint.status.ready_replicas is not None:
            return int(endpoint.status.ready_replicas)
        if self.new_routes:
            return 0  # they leave a zero out
        if wanted_replicas(endpoint) <= 1:
            return int(state_of(endpoint) == "Ready")
        return sum(reason == "Ready" for reason in self._readiness(str(endpoint.metadata.name)))

    def trouble(self, name: str) -> Trouble:
        """Return why replicas do not run, as far as the platform reports it."""
        events = self._ask_endpoints("read events", lambda c: c.deployment.get_events(name))
        counts: Counter[str] = Counter()
        for event in events:
            if event.type_ == "Warning":
                counts[event.reason] += event.count or 1
        hopeless = [r for r, times in counts.items() if r in _HOPELESS and times >= _ENOUGH]
        told = f"{_HOPELESS[hopeless[0]]} ({hopeless[0]})" if hopeless else ""
        if self.new_routes:  # they have no others
            return Trouble(told, counts["BackOff"], "BackOff")
        ended = self._ask("read terminations", lambda c: c.deployment.get_termination(name)).root
        ends = [f"exit code {end.exit_code}" for ends in ended.values() for end in ends]
        reasons = self._readiness(name)
        queued = bool(reasons) and all(reason in _QUEUED for reason in reasons)
        return Trouble(told, len(ends), ends[-1] if ends else "", queued)

    def _readiness(self, name: str) -> list[str]:
        told = self._ask("read readiness", lambda c: c.deployment.get_readiness(name)).root
        return [issues[0].reason.value for issues in told.values() if issues]

    def last_lines(self, name: str, number: int = 3) -> list[str]:
        """Return the end of an endpoint's log."""
        now = time.time_ns()
        try:
            answer = self._ask_endpoints(
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

    # --- jobs -----------------------------------------------------------------------------

    def jobs_of(self, run: str) -> list[Job]:
        """Return the jobs of a run, known by their environment, that were not deleted.

        One request for each 500 jobs of the workspace.
        """
        found = []
        for page in count(1):
            jobs = self._ask("list jobs", partial(_list_jobs, page=page))
            for job in jobs:
                env = {var.name: var.value for var in job.spec.envs or []}
                state = job.status.state.value if job.status and job.status.state else "unknown"
                if env.get(RUN) == run and state not in _DELETED:
                    found.append(Job(str(job.metadata.id_), str(env.get(EVALUATION)), state))
            if len(jobs) < _PAGE:
                break
        return found

    def delete_job(self, job: str) -> None:
        """Delete a job, running or not."""
        try:
            self._ask(f"delete job {job}", lambda c: c.job.delete(job))
        except _Refused as refused:
            if refused.status != 404:
                raise

    # --- what there is --------------------------------------------------------------------

    def keep_secret(self, name: str, value: str) -> bool:
        """Make a secret; return whether it was there before, with whatever value."""
        if name in self.secrets():
            return True
        item = SecretItem(name=name, value=value)
        try:
            self._ask(f"make secret {name}", lambda c: c.secret.create([item]))
        except _Refused as refused:
            if refused.status != 409:  # made by the first of two tries
                raise
        return False

    def secrets(self) -> frozenset[str]:
        """Return the names of the secrets."""
        return frozenset(s.name for s in self._ask("list secrets", lambda c: c.secret.list_all()))

    @cached_property
    def _groups(self) -> list[Any]:
        return list(self._ask("list node groups", lambda c: c.nodegroup.list_all()))

    def node_group(self, name: str) -> str:
        """Return the id of a node group of that name or id.

        Raises:
            EvaluationError: there is none.
        """
        for group in self._groups:
            if name in (group.metadata.name, group.metadata.id_):
                return str(group.metadata.id_)
        known = _listed(str(g.metadata.name or g.metadata.id_) for g in self._groups)
        raise EvaluationError(f"no node group {name}; there are {known}")

    def check_volumes(self, sources: Iterable[str], group: str | None) -> None:
        """Check that the node group (or one, where None is named) has these volumes.

        Raises:
            EvaluationError: it has not.
        """
        there = {"node-local"} | {
            f"node-{volume.from_.value}:{volume.name}"
            for each in self._groups
            if group in (None, each.metadata.id_)
            for volume in each.spec.volumes or ()
        }
        for source in sources:
            if source not in there:
                raise EvaluationError(f"no volume {source}; there are {_listed(there)}")

    def shape(self, wanted: str | None, gpus: int, group: str | None) -> str:
        """Return the shape of that name, or the smallest with so many GPUs.

        Raises:
            EvaluationError: there is none.
        """
        shapes = self._ask(
            "list shapes", lambda c: c.shapes.list_shapes(node_group=group, purpose="deployment")
        )
        names = {str(s.metadata.id_ or s.spec.name).lower() for s in shapes}
        if wanted and wanted.lower() not in names:
            raise EvaluationError(f"no resource shape {wanted}; there are {_listed(names)}")
        if wanted:
            return wanted.lower()
        fitting = [s for s in shapes if (s.spec.accelerator_num or 0) >= gpus]
        if not fitting:
            raise EvaluationError(
                f"no resource shape has {gpus} GPUs; set deployment.lepton.resource_shape to one "
                f"of {_listed(names)}"
            )
        size = lambda s: (s.spec.accelerator_num or 0, s.spec.cpu or 0)  # noqa: E731
        best = min(fitting, key=size)
        return str(best.metadata.id_ or best.spec.name).lower()

    # --- requests -------------------------------------------------------------------------

    def _ask(self, what: str, request: Callable[[Any], T]) -> T:
        """Send a request; retry it if that can help. Every request here may be sent twice."""

        def send() -> T:
            try:
                return request(self._client)
            except Exception as error:
                raise self._problem(what, error) from None

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

    def _problem(self, what: str, error: Exception) -> PlatformError:
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
                status, text, after = 404, f"no workspace {self.workspace}", ""
            case requests.RequestException():
                told = f"could not {what}: {self._client.url} does not answer"
                return PlatformError(f"{told} ({type(error).__name__})", 0.0)
            case RuntimeError() | ValueError() | TypeError() | AttributeError() | KeyError():
                # The library raises these for an answer that it did not expect.
                return PlatformError(f"could not {what}: its answer cannot be read", 0.0)
            case _:
                raise error
        why = {
            401: f", the token is wrong or has expired; {_LOGIN}",
            403: f", the token may not do that in the workspace {self.workspace}",
        }.get(status, f" ({' '.join(text.split())[:200]})" if text else "")
        again = status in (0, 408, 429) or status >= 500
        wait = min(float(after), 60.0) if after.replace(".", "", 1).isdigit() else 0.0
        return _Refused(f"could not {what}: HTTP {status}{why}", status, wait if again else None)


def _list_jobs(client: Any, page: int) -> list[Any]:
    mode = LeptonJobQueryMode.AliveOnly.value
    return list(client.job.list_all(job_query_mode=mode, page=page, page_size=_PAGE))


class _Refused(PlatformError):
    def __init__(self, message: str, status: int, wait: float | None) -> None:
        super().__init__(message, wait)
        self.status = status


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
