"""Stops what a run has on Lepton: its jobs, and endpoints that nothing asks."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from functools import cached_property, partial
from typing import TYPE_CHECKING

from snakeval.errors import EvaluationError
from snakeval.executors.base import Fate, Remain, Report, Stage, Stopping
from snakeval.executors.lepton import need_library, stopped_by_hand
from snakeval.executors.lepton.live_logs import copy_job
from snakeval.executors.lepton.notes import Noted, Notes
from snakeval.run.directory import RunDirectory
from snakeval.run.heads import heads

if TYPE_CHECKING:
    from snakeval.executors.lepton.api import Platform
    from snakeval.executors.lepton.endpoints import Endpoints
    from snakeval.executors.lepton.platform_states import Job

#: Seconds between two lists of jobs.
LOOK_SECONDS = 1.0
#: Seconds that a deleted job may take to be gone.
PATIENCE = 7.5
#: Seconds that copies of logs may delay the end of the jobs.
LOGS_SECONDS = 10.0


def close(run: RunDirectory, report: Report) -> None:
    """Delete the endpoints of *run* that nothing asks; report the others and keep their notes."""
    if not Notes(run).all():
        return
    if others := [head for head in heads(run) if not head.is_this]:
        report(f"endpoints stay: process {others[0].pid} on {others[0].host} works at the run")
        return
    try:
        need_library()
        from snakeval.executors.lepton.endpoints import Endpoints

        Endpoints(run).end(report)
    except EvaluationError as error:
        report(f"endpoints of Lepton may still run: {error}")


def stopping(run: RunDirectory, evaluation: str = "") -> Stopping:
    """Return what to stop of *run*, or of one *evaluation*.

    A job that has ended stays: it costs nothing, and the next start collects it.
    """
    noted = Notes(run).all()
    submitted = bool(run.remote_jobs(evaluation))
    if not submitted and not noted:
        return Stopping()
    there = _There(run, evaluation, submitted, noted)
    return Stopping({Stage.LEFT: there.jobs, Stage.SERVERS: there.endpoints})


class _There:
    def __init__(
        self, run: RunDirectory, evaluation: str, submitted: bool, noted: list[Noted]
    ) -> None:
        self._run, self._evaluation = run, evaluation
        self._submitted, self._noted = submitted, noted
        self._jobs: list[Job] = []
        self._listed = -math.inf
        self._error = ""
        self._logs_took = 0.0

    def jobs(self) -> Iterator[Remain]:
        """Yield the jobs; or all that may be there, if Lepton cannot be asked."""
        if not self._error and time.monotonic() - self._listed > LOOK_SECONDS:
            try:
                self._jobs = self._platform.jobs_of(self._run.name)
            except EvaluationError as error:
                self._error = str(error)
            self._listed = time.monotonic()
        if self._error:
            yield from self._perhaps()
            return
        for job in self._jobs:
            if self._evaluation not in ("", job.evaluation):
                continue
            name = f"Lepton job {job.id}"
            if not job.lives:
                text = f"{name} of {job.evaluation}, {job.state}: the next start collects it"
                yield Remain(name, text, fate=Fate.STAYS)
                continue
            yield Remain(
                name,
                f"{name} of {job.evaluation}",
                (partial(self._end_job, job), None, None),
                left=f"{name} of {job.evaluation}, {job.state}",
                patience=PATIENCE,
            )

    def endpoints(self) -> Iterator[Remain]:
        """Yield the endpoints that nothing asks any more."""
        if self._error:
            return
        for each in self._idle({job.evaluation for job in self._jobs if job.lives}):
            yield Remain(
                f"endpoint {each.name}",
                f"endpoint {each.name} of {each.model}",
                (partial(self._endpoints.delete, each), None, None),
                left=f"endpoint {each.name} of Lepton",
            )

    def _perhaps(self) -> Iterator[Remain]:
        mine = self._noted
        if self._evaluation:
            mine = Notes(self._run).asked_by(self._evaluation)
        what = [f"{self._evaluation or 'jobs'} on Lepton"] if self._submitted else []
        for text in [*what, *(f"endpoint {each.name} of Lepton" for each in mine)]:
            yield Remain(text, f"{text}, perhaps: {self._error}", fate=Fate.UNKNOWN)

    def _end_job(self, job: Job) -> None:
        if self._evaluation:
            stopped_by_hand.note(self._run, job.evaluation)
        self._keep_log(job)
        self._platform.delete_job(job.id)
        self._listed = -math.inf

    def _keep_log(self, job: Job) -> None:
        """Copy a job's log into the run, since the platform deletes it with the job."""
        started = time.monotonic()
        if self._logs_took > LOGS_SECONDS or job.evaluation not in self._evaluations:
            return
        with contextlib.suppress(EvaluationError, OSError):  # a log keeps no job
            copy_job(self._platform, self._run.evaluation(job.evaluation), job.id)
        self._logs_took += time.monotonic() - started

    @cached_property
    def _evaluations(self) -> set[str]:
        return {item.id for item in self._run.plan()}

    @cached_property
    def _platform(self) -> Platform:
        need_library()
        from snakeval.executors.lepton.api import Platform

        return Platform()

    @cached_property
    def _endpoints(self) -> Endpoints:
        from snakeval.executors.lepton.endpoints import Endpoints

        return Endpoints(self._run, self._platform)

    def _idle(self, live: set[str]) -> list[Noted]:
        if not self._evaluation:
            return Notes(self._run).all()
        asking: dict[str, list[str]] = {}
        for name, evaluation in self._run.deployed():
            asking.setdefault(name, []).append(evaluation)
        return [
            each
            for each in Notes(self._run).asked_by(self._evaluation)
            if not any(self._needs(name, live) for name in asking[each.model])
        ]

    def _needs(self, evaluation: str, live: set[str]) -> bool:
        """Whether an evaluation runs, or a Snakemake that lives may begin it."""
        if evaluation in live:
            return True
        if not heads(self._run) or stopped_by_hand.by_hand(self._run, evaluation):
            return False
        return evaluation in self._undone

    @cached_property
    def _undone(self) -> set[str]:
        return {
            item.id
            for item in self._run.plan()
            if not (item.left_out or item.same_as)
            and self._run.evaluation(item.id).why_incomplete(item.fingerprint) is not None
        }
