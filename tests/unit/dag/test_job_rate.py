"""Snakemake's limit of job submissions, with its own classes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from snakemake.scheduling.job_scheduler import JobRateLimiter, JobScheduler
from snakemake.settings.types import MaxJobsPerTimespan

from snakeval.dag.job_rate import lift_default


@pytest.fixture(scope="module")
def default() -> str:
    """The option's default in the Snakemake that is installed."""
    from snakemake.cli import get_argument_parser

    found: str = get_argument_parser().get_default("max_jobs_per_timespan")
    return found


def limited(option: str) -> SimpleNamespace:
    return SimpleNamespace(job_rate_limiter=JobRateLimiter(MaxJobsPerTimespan.parse_choice(option)))


def test_the_default_limit_is_removed(default: str) -> None:
    scheduler = limited(default)
    lift_default(scheduler)
    assert scheduler.job_rate_limiter is None


@pytest.mark.parametrize("option", ["5/1s", "100/10s", "100/1m"])
def test_a_limit_of_the_user_stays(option: str) -> None:
    scheduler = limited(option)
    limiter = scheduler.job_rate_limiter
    lift_default(scheduler)
    assert scheduler.job_rate_limiter is limiter


def test_a_scheduler_without_a_limit_has_none_afterwards() -> None:
    scheduler = SimpleNamespace(job_rate_limiter=None)
    lift_default(scheduler)
    assert scheduler.job_rate_limiter is None


def test_snakemakes_scheduler_reads_the_attribute() -> None:
    assert "job_rate_limiter" in JobScheduler.schedule.__code__.co_names
