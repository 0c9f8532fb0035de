"""Snakemake retries no job whose checkpoint is gone."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from snakeval.dag.no_retry import spare
from snakeval.errors import GoneError
from snakeval.evaluation.directory import JobDirectory
from snakeval.serving.directory import DeploymentDirectory


class Scheduler:
    """Decides about a retry as Snakemake's scheduler."""

    def __init__(self) -> None:
        self.retried: list[Any] = []

    def _handle_error(self, job: Any, postprocess_job: bool = True) -> None:
        if job.restart_times > job.attempt - 1:
            self.retried.append(job)
            job.attempt += 1


@pytest.fixture
def directory(tmp_path: Path) -> DeploymentDirectory:
    return DeploymentDirectory(tmp_path / "run7@200/deployment")


def job(*directories: JobDirectory, is_group: bool = False) -> Any:
    members = [SimpleNamespace(output=[each.output]) for each in directories]
    return SimpleNamespace(
        output=[each.output for each in directories],
        jobs=members,
        is_group=lambda: is_group,
        restart_times=2,
        attempt=1,
    )


def retried(failed: Any, since: float | None = None) -> bool:
    scheduler = Scheduler()
    spare(scheduler, since)
    scheduler._handle_error(failed, postprocess_job=False)
    return bool(scheduler.retried)


def test_only_a_job_that_is_gone_loses_its_retries(directory: DeploymentDirectory) -> None:
    assert retried(job(directory)), "it has left no reason"
    directory.path.mkdir(parents=True, exist_ok=True)
    directory.fail("out of coffee")
    assert retried(job(directory))
    directory.fail("gone: it was deleted", kind=GoneError.kind)
    failed = job(directory)
    assert not retried(failed)
    assert failed.attempt == 3
    directory.failure.write_text("{")
    assert retried(job(directory))


def test_a_group_with_a_member_that_is_gone_loses_its_retries(
    directory: DeploymentDirectory, tmp_path: Path
) -> None:
    directory.path.mkdir(parents=True)
    directory.fail("gone", kind=GoneError.kind)
    other = DeploymentDirectory(tmp_path / "run7@300/deployment")
    assert not retried(job(other, directory, is_group=True))
    assert retried(job(other, is_group=True))


def test_a_reason_of_an_earlier_start_does_not_count(directory: DeploymentDirectory) -> None:
    directory.path.mkdir(parents=True)
    directory.fail("gone", kind=GoneError.kind)
    assert retried(job(directory), since=time.time() + 60)
