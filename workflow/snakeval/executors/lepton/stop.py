"""What of a run lives on Lepton, and how it is ended: jobs, and endpoints that nobody needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from snakeval.errors import EvaluationError
from snakeval.evaluation import directory
from snakeval.executors.lepton import need_library, stopped_by_hand
from snakeval.executors.lepton.notes import Noted, Notes
from snakeval.run import deployments, plan
from snakeval.run.heads import heads

if TYPE_CHECKING:
    from snakeval.executors.lepton.api import Job


def end(run: Path, report: Callable[[str], None]) -> None:
    """Delete all endpoints of *run*; those that cannot be deleted are told and stay noted."""
    if not Notes(run).all():
        return
    try:
        need_library()
        from snakeval.executors.lepton.endpoints import Endpoints

        Endpoints(run).end(report)
    except EvaluationError as error:
        report(f"endpoints of Lepton may still run: {error}")


Report = Callable[[str], None]

#: Seconds between looks at jobs that were ended.
_PAUSES = (0.5, 1.0, 2.0, 4.0)


def stop(run: Path, report: Report, evaluation: str = "") -> tuple[list[str], bool]:
    """Delete the jobs and endpoints of *run*, or those of one *evaluation*, and look again.

    A job that has ended stays where it is: it costs nothing, and the next start collects it.

    *report* hears of each.

    Returns:
        What is left, and whether there was anything to end.
    """
    noted = Notes(run).all()
    submitted = any(run.glob(f"{evaluation or '*/*'}/evaluation.json.job"))
    if not submitted and not noted:
        return [], False
    try:
        need_library()
        return _Remains(run, report, evaluation).end(noted)
    except EvaluationError as error:
        what = evaluation or "jobs"
        left = [f"{what} on Lepton, perhaps: {error}"] if submitted else []
        mine = Notes(run).asked_by(evaluation) if evaluation else noted
        return left + [f"endpoint {each.name} of Lepton, perhaps: {error}" for each in mine], True


class _Remains:
    def __init__(self, run: Path, report: Report, evaluation: str) -> None:
        from snakeval.executors.lepton.api import Platform
        from snakeval.executors.lepton.endpoints import Endpoints

        self._run, self._report, self._evaluation = run, report, evaluation
        self._platform = Platform()
        self._endpoints = Endpoints(run, self._platform)

    def end(self, noted: list[Noted]) -> tuple[list[str], bool]:
        """End all of it."""
        jobs = self._platform.jobs_of(self._run.name)
        mine = [job for job in jobs if self._evaluation in ("", job.evaluation)]
        for job in mine:
            if not job.lives:
                self._report(f"Keeps {_text(job)}: the next start collects it")
                continue
            if self._evaluation:
                stopped_by_hand.note(self._run, job.evaluation)
            self._report(f"Ends Lepton job {job.id} of {job.evaluation}")
            self._platform.delete_job(job.id)
        ended = {job.id for job in mine if job.lives}
        live = self._look_again(jobs, ended)
        left = [_text(job) for job in live if job.id in ended]
        idle = self._idle(noted, {job.evaluation for job in live})
        for each in idle:
            self._report(f"Ends endpoint {each.name} of {each.model}")
            try:
                self._endpoints.delete(each)
            except EvaluationError as error:
                left.append(f"endpoint {each.name} of Lepton: {error}")
        return left, bool(ended or idle)

    def _look_again(self, jobs: list[Job], ended: set[str]) -> list[Job]:
        """Return the jobs that live, once those that were ended are gone, or do not go."""
        for pause in (*_PAUSES, None) if ended else ():
            jobs = self._platform.jobs_of(self._run.name)
            if pause is None or not any(job.lives and job.id in ended for job in jobs):
                break
            time.sleep(pause)
        return [job for job in jobs if job.lives]

    def _idle(self, noted: list[Noted], live: set[str]) -> list[Noted]:
        """The endpoints that nobody needs any more."""
        if not self._evaluation:
            return noted
        asking: dict[str, list[str]] = {}
        for name, evaluation in deployments.deployed(self._run):
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
            f"{item.model}/{item.benchmark}"
            for item in plan.planned(self._run)
            if not item.left_out
            and not all(
                directory.completion(f"{self._run}/{item.model}/{item.benchmark}", item.fingerprint)
            )
        }


def _text(job: Job) -> str:
    return f"Lepton job {job.id} of {job.evaluation}, {job.state}"
