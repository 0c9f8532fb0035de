"""Calls the service by the vendor's SDK: with retries, back-off, and no duplicate creation.

The SDK repeats no request and makes no call idempotent, so this module does both. Only this module
sends requests. ``service_errors`` reads the SDK's errors; ``states`` and ``spec`` use its types.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from leptonai.api.v2.client import APIClient
from leptonai.api.v2.types.job import LeptonJob, LeptonJobQueryMode
from leptonai.api.v2.types.shape import Shape
from leptonai.api.v2.types.workspace import WorkspaceState
from leptonai.api.v2.utils import WorkspaceConfigurationError
from leptonai.api.v2.workspace_record import WorkspaceRecord

from snakemake_executor_plugin_lepton.errors import ServiceError
from snakemake_executor_plugin_lepton.service_errors import LOGIN, problem_of
from snakemake_executor_plugin_lepton.states import GONE, state_of

T = TypeVar("T")

PAGE = 500
LOG_PAGE = 5000
#: Seconds between tries of one request: about two minutes in total.
BACKOFF = (0.25, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a job's log, with its time in nanoseconds since the epoch."""

    time: int
    text: str


class Service:
    """A workspace of the service."""

    def __init__(
        self,
        workspace: str | None = None,
        url: str | None = None,
        timeout: int = 60,
        backoff: tuple[float, ...] = BACKOFF,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Find the workspace and its token, without a request.

        Raises:
            ServiceError: there is no workspace or no token.
        """
        self._arguments = {"workspace_id": workspace, "url": url.rstrip("/") if url else None}
        self._timeout = timeout
        self._backoff = backoff
        self._sleep = sleep
        self._local = threading.local()
        self._check_credentials(workspace)

    def _check_credentials(self, workspace: str | None) -> None:
        # Without a token the SDK fails with a TypeError in a line of its trace log.
        try:
            client = self._client
        except WorkspaceConfigurationError:
            raise ServiceError(f"No Lepton workspace is known. {LOGIN}.", 401) from None
        except TypeError:
            name = workspace or "the workspace"
            raise ServiceError(f"There is no token for {name}. {LOGIN}.", 401) from None
        # If only the id was given, do not use the record of another workspace of `lep login`.
        self.workspace = client.workspace_id
        self.url = client.url
        self.console = str(client.get_dashboard_base_url())
        record = WorkspaceRecord.current()
        self.logged_in = record is not None

    @property
    def _client(self) -> APIClient:
        """Return this thread's client, because its HTTP session does not support threads."""
        client = getattr(self._local, "client", None)
        if client is None:
            client = APIClient(**self._arguments)
            if client.url.endswith("/"):  # the SDK only appends to it
                url = client.url.rstrip("/")
                client = APIClient(client.workspace_id, client.auth_token, url)
            # The SDK has no public setting. Two minutes are too long if a job could be lost.
            client._timeout = self._timeout
            self._local.client = client
        return client

    def job_page(self, job_id: str) -> str:
        """Return the address of a job's page in the console."""
        return f"{self.console}/compute/jobs/detail/{job_id}/replicas/list"

    # Workspace

    def check(self) -> None:
        """Check that the workspace exists and accepts jobs.

        Raises:
            ServiceError: it does not.
        """
        state = self._call("ask for the workspace", lambda c: c.info()).workspace_state
        if state not in (WorkspaceState.Normal, WorkspaceState.Unknown):
            raise ServiceError(
                f"The workspace {self.workspace} is {state.value}: it runs no jobs. Its "
                f"administrator can resume it, see {self.console}."
            )

    def node_groups(self) -> dict[str, tuple[str, frozenset[str]]]:
        """Return name -> (id, sources of its volumes) of the node groups."""
        groups = self._call("list node groups", lambda c: c.nodegroup.list_all())
        return {
            str(group.metadata.name or group.metadata.id_): (
                str(group.metadata.id_),
                frozenset(
                    "node-local" if v.from_.value == "local" else f"node-{v.from_.value}:{v.name}"
                    for v in group.spec.volumes or []
                ),
            )
            for group in groups
        }

    def shapes(self, node_group: str | None) -> list[Shape]:
        """Return the resource shapes for jobs (in the node group of that id)."""
        return list(
            self._call(
                "list resource shapes",
                lambda c: c.shapes.list_shapes(node_group=node_group, purpose="job"),
            )
        )

    def secrets(self) -> frozenset[str]:
        """Return the names of the workspace's secrets."""
        found = self._call("list secrets", lambda c: c.secret.list_all())
        return frozenset(secret.name for secret in found)

    # Jobs

    def jobs(self, query: str, wanted: frozenset[str] | None = None) -> list[LeptonJob]:
        """Return the jobs with these labels, including finished and archived ones.

        It sends one request per page of at most 500 jobs, and stops when it has found all *wanted*
        ids, or at an empty page: the service may give fewer jobs than it is asked for.
        """
        found: list[LeptonJob] = []
        seen: set[str] = set()
        page = 1
        while True:
            number = page
            items = self._call(
                "list jobs",
                lambda c: c.job.list_all(
                    job_query_mode=LeptonJobQueryMode.AliveAndArchive.value,
                    query=query,
                    page=number,  # noqa: B023 (called before the next turn)
                    page_size=PAGE,
                ),
            )
            fresh = [job for job in items if str(job.metadata.id_) not in seen]
            # A service without label queries would return the jobs of all users.
            found += [job for job in fresh if matches(job, query)]
            seen.update(str(job.metadata.id_) for job in fresh)
            if not fresh or (wanted is not None and wanted <= seen):
                return found
            page += 1

    def job(self, job_id: str) -> LeptonJob | None:
        """Return a job, archived or not, or None if no job has this id."""
        try:
            return self._call(f"ask for job {job_id}", lambda c: c.job.get(job_id))
        except ServiceError as error:
            if error.status == 404:
                return None
            raise

    def create(self, job: LeptonJob, query: str) -> LeptonJob:
        """Create a job once. *query* is the label query that finds it.

        If an answer leaves open whether the job exists (no answer, or a server's error), the method
        looks for the job before it tries again.
        """
        for pause in (*self._backoff, None):
            try:
                return self._client.job.create(job)
            except Exception as error:
                problem, wait = self._problem(f"create job {job.metadata.name}", error)
                if pause is None or wait is None:
                    raise problem from None
                self._sleep(max(wait, _jittered(pause)))
                if problem.status != 429 and (found := self._same(job, query)):
                    return found
        raise AssertionError  # the last turn returns or raises

    def _same(self, job: LeptonJob, query: str) -> LeptonJob | None:
        for found in self.jobs(query):
            # The job may have ended meanwhile. An archived one belongs to an earlier head, which
            # collected it.
            if found.metadata.name == job.metadata.name and state_of(found) not in GONE:
                return found
        return None

    def stop(self, job_id: str) -> None:
        """Ask a job to stop: its command gets a signal, and its files can still be sent."""
        with _gone_is_fine():
            # update() takes plain data only, which it passes unchanged to requests.
            change: Any = {"spec": {"stopped": True}}
            self._call(f"stop job {job_id}", lambda c: c.job.update(job_id, change))

    def delete(self, job_id: str) -> None:
        """Delete a job, running or not."""
        with _gone_is_fine():
            self._call(f"delete job {job_id}", lambda c: c.job.delete(job_id))

    def events(self, job_id: str) -> list[tuple[str, str, int]]:
        """Return type (Normal, Warning), reason and count of a job's events."""
        with _gone_is_fine():
            found = self._call(f"read events of {job_id}", lambda c: c.job.get_events(job_id))
            return [(event.type_, event.reason, event.count) for event in found]
        return []

    def log(self, job_id: str, since: int, containing: str = "") -> list[LogLine]:
        """Return a job's complete log since *since* (ns since the epoch), in order."""
        lines: dict[tuple[int, str], None] = {}
        start = max(since, 1)
        while True:
            # The API requires an end. The clocks may differ.
            end = time.time_ns() + 3600 * 10**9
            page = self._log_page(job_id, start, end, containing)
            before = len(lines)
            lines.update(((line.time, line.text), None) for line in page)
            if len(page) < LOG_PAGE or len(lines) == before:
                return [LogLine(*key) for key in sorted(lines, key=lambda key: key[0])]
            start = max(line.time for line in page)

    def _log_page(self, job_id: str, start: int, end: int, containing: str) -> list[LogLine]:
        answer = self._call(
            f"read the log of {job_id}",
            lambda c: c.log.get_log(
                name_or_job=job_id,
                start=str(start),
                end=str(end),
                limit=LOG_PAGE,
                q=containing,
                direction="forward",
                timeout=self._timeout,
            ),
        )
        streams = (answer.get("data") or {}).get("result") or []
        return [
            LogLine(int(at), str(text).rstrip("\n"))
            for stream in streams
            for at, text in stream.get("values") or []
        ]

    # Requests

    def _call(self, what: str, request: Callable[[APIClient], T]) -> T:
        """Send a request that is safe to repeat."""
        for pause in (*self._backoff, None):
            try:
                return request(self._client)
            except Exception as error:
                problem, wait = self._problem(what, error)
                if pause is None or wait is None:
                    raise problem from None
                self._sleep(max(wait, _jittered(pause)))
        raise AssertionError  # the last turn returns or raises

    def _problem(self, what: str, error: Exception) -> tuple[ServiceError, float | None]:
        return problem_of(what, error, self.workspace, self.url)


def matches(job: LeptonJob, query: str) -> bool:
    """Return whether the job has the labels of a query ``name=value,…``."""
    labels: dict[str, Any] = job.metadata.labels or {}
    return all(
        labels.get(name) == value for name, _, value in (t.partition("=") for t in query.split(","))
    )


@contextlib.contextmanager
def _gone_is_fine() -> Iterator[None]:
    try:
        yield
    except ServiceError as error:
        if error.status != 404:
            raise


def _jittered(pause: float) -> float:
    # Random, so that heads that failed together do not retry together.
    return pause * random.uniform(0.75, 1.25)
