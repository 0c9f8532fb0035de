"""A workspace of Lepton: its endpoints, jobs, secrets, node groups and shapes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cached_property, partial
from itertools import count
from typing import Any, TypeVar

from leptonai.api.v2.client import (
    DeploymentFeatureSnapshotMismatchError,
    reset_new_deployment_api_flag_cache,
)
from leptonai.api.v2.types.common import LeptonVisibility
from leptonai.api.v2.types.deployment import LeptonDeployment
from leptonai.api.v2.types.job import LeptonJobQueryMode
from leptonai.api.v2.types.secret import SecretItem
from leptonai.api.v2.types.workspace import WorkspaceInfo, WorkspaceState

from snakeval.errors import EvaluationError
from snakeval.executors.lepton import EVALUATION, RUN, shapes
from snakeval.executors.lepton.platform_states import (
    DELETED,
    QUEUED,
    Job,
    Trouble,
    hopeless,
    state_of,
    wanted_replicas,
)
from snakeval.executors.lepton.workspace_requests import RefusedError, WorkspaceRequests

T = TypeVar("T")

_PAGE = 500


class Platform(WorkspaceRequests):
    """Reads, creates, changes and deletes what a workspace contains."""

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
        except RefusedError as refused:
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
        except RefusedError as refused:
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
            except RefusedError as refused:
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
        told = hopeless(counts)
        if self.new_routes:  # they have no others
            # The kubelet also backs off from images that cannot be pulled.
            return Trouble(told, max(counts["BackOff"] - counts["Failed"], 0), "BackOff")
        ended = self._ask("read terminations", lambda c: c.deployment.get_termination(name)).root
        ends = [f"exit code {end.exit_code}" for ends in ended.values() for end in ends]
        reasons = self._readiness(name)
        queued = bool(reasons) and all(reason in QUEUED for reason in reasons)
        refused = hopeless({**counts, "ConfigError": 1}, certain=True)
        refused = refused if "ConfigError" in reasons else ""
        return Trouble(told, len(ends), ends[-1] if ends else "", queued, refused)

    def _readiness(self, name: str) -> list[str]:
        told = self._ask("read readiness", lambda c: c.deployment.get_readiness(name)).root
        return [issues[0].reason.value for issues in told.values() if issues]

    def log(
        self, since: int, limit: int, direction: str = "forward", **of: str
    ) -> list[tuple[int, str]]:
        """Return lines since a time (ns since the epoch), in order: the first or last *limit*."""
        # The API requires an end. The clocks may differ.
        end = time.time_ns() + 3600 * 10**9
        span: dict[str, Any] = {"start": str(since), "end": str(end), "limit": limit, **of}
        answer = self._ask_endpoints(
            "read the log", lambda c: c.log.get_log(direction=direction, **span)
        )
        streams = (answer.get("data") or {}).get("result") or []
        return sorted(
            (int(at), str(text).rstrip("\n")) for s in streams for at, text in s.get("values") or []
        )

    # --- jobs -----------------------------------------------------------------------------

    def jobs_of(self, run: str) -> list[Job]:
        """Return the jobs of a run, known by their environment, that were not deleted.

        One request for each 500 jobs of the workspace, and one for the empty page at the end.
        """
        found: list[Job] = []
        seen: set[str] = set()
        for page in count(1):
            jobs = self._ask("list jobs", partial(_list_jobs, page=page))
            fresh = [job for job in jobs if str(job.metadata.id_) not in seen]
            if not fresh:
                break  # the service may give less than it is asked for, so only this is the end
            seen.update(str(job.metadata.id_) for job in fresh)
            for job in fresh:
                env = {var.name: var.value for var in job.spec.envs or []}
                state = job.status.state.value if job.status and job.status.state else "unknown"
                if env.get(RUN) == run and state not in DELETED:
                    secrets = frozenset(
                        str(var.value_from.secret_name_ref)
                        for var in job.spec.envs or []
                        if var.value_from
                    )
                    name = str(env.get(EVALUATION))
                    found.append(Job(str(job.metadata.id_), name, state, secrets))
        return found

    def delete_job(self, job: str) -> None:
        """Delete a job, running or not."""
        try:
            self._ask(f"delete job {job}", lambda c: c.job.delete(job))
        except RefusedError as refused:
            if refused.status != 404:
                raise

    # --- what there is --------------------------------------------------------------------

    def keep_secret(self, name: str, value: str) -> bool:
        """Make a private secret; return whether it was there before, with whatever value."""
        if name in self.secrets():
            return True
        item = SecretItem(name=name, value=value, visibility=LeptonVisibility.PRIVATE)
        try:
            self._ask(f"make secret {name}", lambda c: c.secret.create([item]))
        except RefusedError as refused:
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

    def shape(self, wanted: str | None, gpus: int, group: str | None) -> Any:
        """Return the shape of that name, or the smallest with so many GPUs.

        Raises:
            EvaluationError: there is none.
        """
        found = self._ask(
            "list shapes", lambda c: c.shapes.list_shapes(node_group=group, purpose="deployment")
        )
        return shapes.choose(found, wanted, gpus, group)


def _list_jobs(client: Any, page: int) -> list[Any]:
    mode = LeptonJobQueryMode.AliveOnly.value
    return list(client.job.list_all(job_query_mode=mode, page=page, page_size=_PAGE))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
