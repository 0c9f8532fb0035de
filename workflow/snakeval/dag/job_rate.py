"""Removes Snakemake's default limit of job submissions, which delays the end of every command."""

from __future__ import annotations

from typing import Any

#: Snakemake's default: at most so many jobs in so many seconds.
DEFAULT = (100, 1)


def lift_default(scheduler: Any) -> None:
    """Remove the limit of a Snakemake *scheduler* if the user has not set another one.

    With a limit, the scheduler starts a timer of a second after each of its rounds. The process
    waits for the last timer before it ends, and each timer starts another round. The executors
    limit their submissions themselves.
    """
    limit = scheduler.job_rate_limiter
    if limit is not None and (limit.max_jobs, limit.timespan) == DEFAULT:
        scheduler.job_rate_limiter = None
