"""Reads the state of a run on Lepton: one list of jobs, and one of endpoints if some are noted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from snakeval.errors import EvaluationError
from snakeval.executors.base import Endpoint, Job, Jobs, JobState
from snakeval.executors.lepton import TITLE, need_library, stopped_by_hand
from snakeval.executors.lepton.notes import Noted, Notes
from snakeval.run.directory import RunDirectory
from snakeval.run.heads import heads
from snakeval.serving.directory import DeploymentDirectory

if TYPE_CHECKING:
    from snakeval.executors.lepton.api import Platform
    from snakeval.executors.lepton.platform_states import Job as LeptonJob

#: Which of several jobs of an evaluation counts.
_WORTH = ("Running", "Completed")


class LeptonJobs(Jobs):
    """The jobs and endpoints of *run* on Lepton. It sends no request for a run without any."""

    def __init__(self, run: RunDirectory) -> None:
        self._run = run

    def of(self, name: str) -> Job | None:
        """Return the job of an evaluation, or what is known of one that is gone."""
        if (found := self._jobs.get(name)) is not None:
            return _job(found)
        if name not in self._submitted:
            return None
        if self.silent:
            return Job("", (name,), JobState.UNKNOWN, self.silent)
        if stopped_by_hand.by_hand(self._run, name):
            return Job("", (name,), JobState.STOPPED, "it was ended by `snakeval kill`")
        return None

    def all(self) -> Sequence[Job]:
        """Return a job for each evaluation that has one."""
        return [_job(job) for job in self._jobs.values()]

    def noted(self) -> Sequence[Job]:
        """Nothing: jobs are noted in the workspace alone."""
        return ()

    def deploying(self, model: str) -> tuple[Literal["deploying", "waiting"], str] | None:
        """Return the endpoint of a model while a Snakemake waits for it."""
        endpoint = next((e for e in self.endpoints() if e.model == model and not e.served), None)
        if endpoint is None or not heads(self._run):
            return None
        if DeploymentDirectory.of(self._run, model).has_failure():
            return None
        return "deploying", str(endpoint)

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the present state of the endpoints that the run has notes on."""
        return self._endpoints

    @cached_property
    def _endpoints(self) -> list[Endpoint]:
        noted = Notes(self._run).all()
        return self._look(noted) if noted else []

    @cached_property
    def _submitted(self) -> set[str]:
        return {directory.name for directory in self._run.remote_jobs()}

    @cached_property
    def _jobs(self) -> dict[str, LeptonJob]:
        if not self._submitted:
            return {}
        try:
            jobs = self._platform.jobs_of(self._run.name)
        except EvaluationError as error:
            self.silent = f"Lepton cannot be asked: {error}"
            return {}
        rank = {state: number for number, state in enumerate(_WORTH)}
        jobs.sort(key=lambda job: (not job.lives, rank.get(job.state, len(rank))), reverse=True)
        return {job.evaluation: job for job in jobs}

    def _look(self, noted: list[Noted]) -> list[Endpoint]:
        _ = self._jobs  # a platform that does not answer is not asked again
        silent = self.silent
        try:
            if not silent:
                found = self._platform.endpoints()
                return [self._endpoint(each, found) for each in noted]
        except EvaluationError as error:
            silent = f"Lepton cannot be asked: {error}"
        return [
            Endpoint(each.model, each.name, "unknown", reason=silent, executor=TITLE)
            for each in noted
        ]

    def _endpoint(self, noted: Noted, found: dict[str, Any]) -> Endpoint:
        from snakeval.executors.lepton.platform_states import state_of, wanted_replicas

        # A second look: lists leave out what the library cannot read.
        there = found.get(noted.name) or self._platform.endpoint(noted.name)
        if there is None:
            return Endpoint(noted.model, noted.name, "gone", executor=TITLE)
        scaler = there.spec.auto_scaler if there.spec else None
        down = scaler.scale_down if scaler else None
        return Endpoint(
            noted.model,
            noted.name,
            state_of(there),
            self._platform.ready_replicas(there),
            wanted_replicas(there),
            time_out=down.no_traffic_timeout if down else None,
            served=bool(noted.url),
            executor=TITLE,
        )

    @cached_property
    def _platform(self) -> Platform:
        need_library()
        from snakeval.executors.lepton.api import Platform

        return Platform(backoff=(0.5,), timeout=10)


def _job(job: LeptonJob) -> Job:
    state = JobState.UNCOLLECTED
    if job.lives:
        state = JobState.RUNNING if job.state == "Running" else JobState.WAITING
    return Job(job.id, (job.evaluation,), state, str(job))
