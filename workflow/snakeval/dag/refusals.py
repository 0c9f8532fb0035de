"""Records why an executor did not take a job, as the reason of each evaluation of that job.

Snakemake reports a job that could not be submitted in its own log only, and of a group it drops
the reason. This module wraps three methods of the executor that Snakemake has made, so it serves
any executor plugin.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from typing import Any

from snakeval.errors import GoneError
from snakeval.evaluation import events
from snakeval.evaluation.directory import EvaluationDirectory, JobDirectory
from snakeval.evaluation.events import Event, Journal
from snakeval.serving.directory import DeploymentDirectory

#: The detail of a failure by which a later submission recognizes it.
_REFUSED = "refused"
_LONGEST = 4000
#: Events have milliseconds, and the clock of a process more.
_CLOCK_SECONDS = 0.01


class Refusals:
    """The refusals of one Snakemake. *fingerprint* returns that of ``model/benchmark``, or ""."""

    def __init__(self, fingerprint: Callable[[str], str]) -> None:
        self._fingerprint = fingerprint
        self._since = time.time() - _CLOCK_SECONDS
        self._errors = _Errors()

    def watch(self, executor: Any) -> None:
        """Record what *executor*, a remote one, reports of jobs that it does not submit."""
        run_job, print_job_error = executor.run_job, executor.print_job_error
        report_job_submission = executor.report_job_submission

        def watched_run_job(job: Any) -> None:
            with self._errors.collected():
                try:
                    run_job(job)
                except Exception as error:
                    self.record(job, str(error) or repr(error))
                    raise

        def watched_print_job_error(job_info: Any, msg: str | None = None, **kwargs: Any) -> None:
            if job_info.external_jobid is None:
                self.record(job_info.job, msg or "")
            elif msg:
                self._record_end(job_info.job, msg)
            print_job_error(job_info, msg, **kwargs)

        def watched_report_job_submission(job_info: Any, *args: Any, **kwargs: Any) -> None:
            forget(job_info.job)
            report_job_submission(job_info, *args, **kwargs)

        executor.run_job = watched_run_job
        executor.print_job_error = watched_print_job_error
        executor.report_job_submission = watched_report_job_submission

    def record(self, job: Any, message: str) -> None:
        """Make *message*, or else the errors that the executor logged, the reason of *job*."""
        reason = _sentence(message) or _sentence("\n".join(self._errors.lines))
        reason = reason or "the executor did not submit the job and reported no reason"
        for directory in directories(job):
            if self._has_begun(directory):
                continue  # it has run, so its own reason counts
            known = self._fingerprint(directory.name)
            directory.fail(reason, kind=_REFUSED, **({"fingerprint": known} if known else {}))
            refused = Event("refused", detail=reason, host=socket.gethostname(), head=os.getpid())
            Journal(directory.events).add(refused)

    def _record_end(self, job: Any, message: str) -> None:
        """Make *message* the reason of what a job that has ended had not begun.

        If a server of the job found no checkpoint, that is the reason instead.
        """
        gone = next(filter(None, map(self._gone, directories(job))), None)
        for directory in directories(job):
            known = self._fingerprint(directory.name)
            if directory.has_failure() or self._has_begun(directory):
                continue
            if isinstance(directory, EvaluationDirectory) and directory.unended_attempt(known):
                continue  # interrupted, and the next job resumes it
            reason, kind = gone or (_sentence(message), _REFUSED)
            directory.fail(reason, kind=kind, fingerprint=known)

    def _gone(self, directory: JobDirectory) -> tuple[str, str] | None:
        """Return why a job has failed as gone, and the kind, if it has since this start."""
        try:
            failure = directory.read_failure() or {}
        except (OSError, ValueError):
            return None
        if failure.get("kind") != GoneError.kind or not self._has_begun(directory):
            return None
        return str(failure["reason"]), GoneError.kind

    def _has_begun(self, directory: JobDirectory) -> bool:
        """Whether the job itself has left an event since this Snakemake started."""
        last = events.last(e for e in events.read(directory.events) if e.phase != "refused")
        return last is not None and last.moment >= self._since


def forget(job: Any) -> None:
    """Remove the reason of an earlier refusal of *job*, which the executor has now taken."""
    for directory in directories(job):
        try:
            failure = directory.read_failure()
        except (OSError, ValueError):
            continue
        if failure is not None and failure.get("kind") == _REFUSED:
            directory.forget_failure()


def directories(job: Any) -> Iterator[JobDirectory]:
    """Yield the directories of the evaluations and deployments that *job*, or its group, makes."""
    for member in job.jobs if job.is_group() else (job,):
        for output in map(str, member.output):
            for directory in (
                EvaluationDirectory.of_record(output),
                DeploymentDirectory.of_record(output),
            ):
                if directory.output == output:
                    directory.path.mkdir(parents=True, exist_ok=True)
                    yield directory


def _sentence(message: str) -> str:
    """Return the paragraph of *message* on one line, without the indented details below it."""
    lines = message.strip("\n").splitlines()
    paragraph = list(takewhile(lambda line: not line.startswith((" ", "\t")), lines)) or lines
    return " ".join(" ".join(paragraph).split())[:_LONGEST]


class _Errors(threading.local):
    """The errors that Snakemake's logger gets while an executor submits a job, by thread."""

    lines: tuple[str, ...] = ()

    @contextmanager
    def collected(self) -> Iterator[None]:
        logger = logging.getLogger("snakemake.logging")
        thread = threading.get_ident()
        self.lines = ()

        def keep(record: logging.LogRecord) -> bool:
            is_text = getattr(record, "event", None) is None and record.levelno >= logging.ERROR
            if is_text and threading.get_ident() == thread:
                self.lines = (*self.lines, record.getMessage())
            return True

        logger.addFilter(keep)
        try:
            yield
        finally:
            logger.removeFilter(keep)
