"""Lets Snakemake retry no job whose checkpoint is gone: another try would find it gone as well."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from snakeval.dag.refusals import directories
from snakeval.errors import GoneError

#: Times in the notes of failures have whole seconds.
_ROUNDED_SECONDS = 1.0


def spare(scheduler: Any, since: float | None = None) -> None:
    """Take the retries of a job that failed as gone since this moment, or *since* a time.

    Snakemake retries a job for as long as its attempt is not above its retries.
    """
    begun = (time.time() if since is None else since) - _ROUNDED_SECONDS
    handle = scheduler._handle_error

    def handle_error(job: Any, *arguments: Any, **options: Any) -> None:
        if job.restart_times >= job.attempt and _is_gone(job, begun):
            job.attempt = job.restart_times + 1
        handle(job, *arguments, **options)

    scheduler._handle_error = handle_error


def _is_gone(job: Any, since: float) -> bool:
    """Whether *job*, or a member of its group, has left the reason that its checkpoint is gone."""
    for directory in directories(job):
        try:
            failure = directory.read_failure() or {}
            then = datetime.fromisoformat(str(failure.get("time") or "1970-01-01T00:00:00+00:00"))
        except (OSError, ValueError):
            continue  # it is retried
        if failure.get("kind") == GoneError.kind and then.timestamp() >= since:
            return True
    return False
