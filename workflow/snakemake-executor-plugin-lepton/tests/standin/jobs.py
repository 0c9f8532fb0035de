"""Batch jobs: their states, and what makes them pass from one to the next."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from standin.reasons import reasons
from standin.runner import CannotStartError, Line, Workload

if TYPE_CHECKING:
    from standin.workspace import Workspace

ENDED = ("Completed", "Failed", "Stopped")


def now_ms() -> int:
    """Return milliseconds since the epoch, as the service counts."""
    return int(time.time() * 1000)


@dataclass(eq=False)
class Job:
    """One job. ``state`` is what the service says while it is not archived."""

    metadata: dict[str, Any]
    spec: dict[str, Any]
    state: str = "Queueing"
    archived: bool = False
    workload: Workload | None = None
    replica: str = ""
    past_lines: list[Line] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    failed: int = 0
    succeeded: int = 0
    starts: int = 0  #: how often its container ran
    preempted: int = 0
    created: int = field(default_factory=now_ms)
    ended: int | None = None
    ended_at: float = 0.0
    next_try: float = 0.0
    shown: str | None = None  #: a state to show instead of its own, to try clients
    log_lost: bool = False

    @property
    def id(self) -> str:
        return str(self.metadata["id"])

    def as_json(self) -> dict[str, Any]:
        state = (
            "Archived" if self.archived else self.shown if self.shown is not None else self.state
        )
        active = int(self.state in ("Starting", "Running"))
        return {
            "metadata": self.metadata,
            "spec": self.spec,
            "status": {
                "job_name": self.id, "state": state, "ready": int(self.state == "Running"),
                "active": active, "failed": self.failed, "succeeded": self.succeeded,
                "creation_time": self.created, "completion_time": self.ended, "job_history": [],
            },
        }  # fmt: skip

    def lines(self) -> list[Line]:
        if self.log_lost:
            return []
        live = self.workload.lines() if self.workload else []
        return [*self.past_lines, *live]

    def event(self, kind: str, reason: str) -> None:
        for event in self.events:
            if event["reason"] == reason:
                event["count"] += 1
                event["last_observed_time"] = _iso()
                return
        self.events.append(
            {"type": kind, "reason": reason, "regarding": {"kind": "Pod", "name": self.replica},
             "count": 1, "last_observed_time": _iso()}
        )  # fmt: skip

    def end(self, state: str) -> None:
        if self.workload:
            self.past_lines += self.workload.lines()
            self.workload = None
        self.state = state
        self.ended = now_ms()
        self.ended_at = time.monotonic()


def _iso() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Jobs:
    """All jobs of the workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.RLock()
        self.all: dict[str, Job] = {}
        self.vanished: list[Job] = []
        self._shown: str | None = None

    def create(self, body: dict[str, Any]) -> Job:
        metadata = dict(body.get("metadata") or {})
        name = str(metadata.get("name") or metadata.get("id"))
        metadata |= {
            "id": f"{name}-{secrets.token_hex(2)}", "name": name, "created_at": now_ms(),
            "created_by": "standin@example.com", "version": 1, "owner": "standin@example.com",
        }  # fmt: skip
        job = Job(metadata, dict(body.get("spec") or {}), shown=self._shown)
        with self._lock:
            self.all[job.id] = job
        return job

    def select(self, mode: str, labels: dict[str, str], name: str, states: list[str]) -> list[Job]:
        """Return jobs, the newest first."""
        with self._lock:
            jobs = list(self.all.values())[::-1]
        return [
            job
            for job in jobs
            if (mode != "alive_only" or not job.archived)
            and (mode != "archive_only" or job.archived)
            and labels.items() <= (job.metadata.get("labels") or {}).items()
            and name in job.metadata["name"]
            and (not states or job.as_json()["status"]["state"] in states)
        ]

    def get(self, job_id: str, mode: str) -> Job | None:
        job = self.all.get(job_id)
        return None if job is None or (job.archived and mode == "alive_only") else job

    def stop(self, job: Job) -> None:
        if job.state in ENDED or job.archived:
            return
        job.state = "Stopping"
        threading.Thread(target=self._stop, args=(job, "Stopped"), daemon=True).start()

    def _stop(self, job: Job, state: str) -> None:
        workload = job.workload
        if workload:
            workload.stop(self._workspace.stop_grace)
            while workload.poll() is None:
                time.sleep(0.05)
        job.end(state)

    def restart(self, job: Job) -> None:
        if job.state == "Stopped":
            job.state = "Queueing"

    def delete(self, job: Job) -> None:
        # A guess: deleted jobs can be read as archived ones.
        running = job.state not in ENDED
        job.archived = True
        if running:
            job.state = "Deleting"
            threading.Thread(target=self._stop, args=(job, "Stopped"), daemon=True).start()

    def show(self, state: str | None) -> None:
        """Show this instead of the state of every job, those to come among them."""
        self._shown = state
        for job in list(self.all.values()):
            job.shown = state

    def vanish(self, job: Job) -> None:
        """End and forget it, with its log."""
        with self._lock:
            self.vanished.append(self.all.pop(job.id))
        self.delete(job)

    def preempt(self, job: Job) -> None:
        """Take its node away: it is queued again."""
        workload, job.workload = job.workload, None
        job.state = "Queueing"
        job.preempted += 1
        job.next_try = time.monotonic() + 0.5
        if workload:
            workload.stop(0)
            job.past_lines += workload.lines()

    def tick(self) -> None:
        """Let each job take its next step."""
        with self._lock:
            jobs = [job for job in self.all.values() if not job.archived]
        busy = sum(job.state in ("Starting", "Running") for job in jobs)
        for job in jobs:
            if job.state == "Queueing" and time.monotonic() >= job.next_try:
                if busy < self._workspace.capacity:
                    busy += 1
                    job.state = "Starting"
                    threading.Thread(target=self._start, args=(job,), daemon=True).start()
            elif job.state == "Running":
                self._look(job)
            elif job.state == "PendingRetry" and time.monotonic() >= job.next_try:
                job.state = "Queueing"
            elif job.state in ENDED:
                ttl = job.spec.get("ttl_seconds_after_finished", 600)
                if time.monotonic() - job.ended_at > ttl * self._workspace.ttl_scale:
                    job.archived = True

    def _start(self, job: Job) -> None:
        job.replica = f"{job.id}-0-{secrets.token_hex(3)[:5]}"
        extra = {
            "LEPTON_JOB_NAME": job.id, "LEPTON_WORKER_ID": job.replica,
            "LEPTON_JOB_FAILURE_COUNT": str(job.failed), "LEPTON_JOB_WORKER_INDEX": "0",
            "LEPTON_JOB_TOTAL_WORKERS": "1", "LEPTON_WORKSPACE_ID": self._workspace.id,
        }  # fmt: skip
        # Bounded, so that a test of it ends; the platform would try for ever.
        for _ in range(1000):
            try:
                container = self._workspace.container(job.spec, job.spec["container"], extra)
                workload = self._workspace.runner.start(container)
            except CannotStartError as error:
                for reason in reasons(str(error.args[0]), self._workspace.vocabulary):
                    job.event("Warning", reason)
                job.past_lines.append((time.time_ns(), " ".join(map(str, error.args))[:500]))
                if error.args[0] == "RunContainerError":
                    return self._failed(job)
                time.sleep(0.3)
                if job.archived or job.state != "Starting":
                    return None
                continue
            job.starts += 1
            job.workload = workload
            if job.archived or job.state != "Starting":
                workload.stop(0)
                return None
            job.state = "Running"
            job.event("Normal", "Started")
            return None
        return None

    def _look(self, job: Job) -> None:
        code = job.workload.poll() if job.workload else None
        if code is None:
            return
        if code == 0:
            job.succeeded += 1
            job.end("Completed")
        else:
            self._failed(job)

    def _failed(self, job: Job) -> None:
        job.failed += 1
        if job.failed <= (job.spec.get("max_job_failure_retry") or 0):
            job.end("PendingRetry")
            job.next_try = time.monotonic() + 0.2
        else:
            job.end("Failed")
