"""The reasons of jobs that an executor does not take, with an executor that the tests script."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from snakeval.dag.refusals import Refusals, forget
from snakeval.errors import GoneError
from snakeval.evaluation import events
from snakeval.evaluation.directory import Attempt, EvaluationDirectory
from snakeval.evaluation.events import Event, Journal
from snakeval.serving.directory import DeploymentDirectory

logger = logging.getLogger("snakemake.logging")


class Job:
    """A job of Snakemake, or a group of them."""

    def __init__(self, *outputs: str, members: tuple[Job, ...] = ()) -> None:
        self.output, self.jobs = outputs, members

    def is_group(self) -> bool:
        return bool(self.jobs)


class Executor:
    """An executor that does with a job what the test says."""

    def __init__(self, submit: Any) -> None:
        self._submit = submit
        self.printed: list[str | None] = []

    def run_job(self, job: Job) -> None:
        self._submit(self, job)

    def report_job_error(self, job_info: Any, msg: str | None = None) -> None:
        self.print_job_error(job_info, msg)

    def print_job_error(self, job_info: Any, msg: str | None = None) -> None:
        self.printed.append(msg)

    def report_job_submission(self, job_info: Any) -> None:
        pass


def info(job: Job, id: str | None = None) -> SimpleNamespace:
    return SimpleNamespace(job=job, external_jobid=id)


@pytest.fixture
def evaluation(tmp_path: Path) -> EvaluationDirectory:
    directory = EvaluationDirectory(tmp_path / "m" / "b")
    directory.private.mkdir(parents=True)
    return directory


def run(job: Job, submit: Any) -> Executor:
    executor = Executor(submit)
    Refusals(lambda name: f"fingerprint of {name}").watch(executor)
    executor.run_job(job)
    return executor


def test_the_message_of_the_executor_is_the_reason_without_its_details(
    evaluation: EvaluationDirectory,
) -> None:
    job = Job(evaluation.output)
    message = "sbatch failed: 'error: A\nerror: B'.\n    sbatch call:\n        sbatch --x\n"
    executor = run(job, lambda executor, job: executor.report_job_error(info(job), message))
    failure = evaluation.read_failure()
    assert failure is not None
    assert failure["reason"] == "sbatch failed: 'error: A error: B'."
    assert failure["fingerprint"] == "fingerprint of m/b"
    (event,) = events.read(evaluation.events)
    assert (event.phase, event.detail) == ("refused", failure["reason"])
    assert executor.printed == [message]


def test_without_a_message_the_errors_that_the_executor_logged_are_the_reason(
    evaluation: EvaluationDirectory,
) -> None:
    def submit(executor: Executor, job: Job) -> None:
        logger.error("The cloud has no such zone.")
        executor.report_job_error(info(job))

    logger.error("An error before it.")
    run(Job(evaluation.output), submit)
    assert evaluation.failure_reason() == "The cloud has no such zone."
    run(Job(evaluation.output), lambda executor, job: executor.report_job_error(info(job)))
    assert "reported no reason" in evaluation.failure_reason()


def test_an_exception_is_the_reason_and_still_reaches_snakemake(
    evaluation: EvaluationDirectory,
) -> None:
    def submit(executor: Executor, job: Job) -> None:
        raise ValueError("no permission to create pods")

    with pytest.raises(ValueError, match="pods"):
        run(Job(evaluation.output), submit)
    assert evaluation.failure_reason() == "no permission to create pods"


def test_all_members_of_a_group_get_the_reason_and_other_rules_none(
    tmp_path: Path, evaluation: EvaluationDirectory
) -> None:
    deployment = DeploymentDirectory(tmp_path / "m" / "deployment")
    members = (Job(deployment.output), Job(evaluation.output), Job(str(tmp_path / "results.csv")))
    run(Job(members=members), lambda executor, job: executor.report_job_error(info(job), "no"))
    assert (deployment.failure_reason(), evaluation.failure_reason()) == ("no", "no")
    assert [*tmp_path.glob("failure.json")] == []


def test_a_job_that_was_submitted_or_has_begun_keeps_its_own_reason(
    evaluation: EvaluationDirectory,
) -> None:
    job = Job(evaluation.output)

    def begins(executor: Executor, job: Job) -> None:
        Journal(evaluation.events).add(Event("begun"))
        executor.report_job_error(info(job), "it failed")

    run(job, begins)
    assert not evaluation.has_failure()

    def fails(executor: Executor, job: Job) -> None:
        evaluation.fail("the harness exited with 3")
        executor.report_job_error(info(job, "7"), "it failed")

    run(job, fails)
    assert evaluation.failure_reason() == "the harness exited with 3"


def test_the_end_of_a_job_is_the_reason_of_what_it_had_not_begun(
    evaluation: EvaluationDirectory,
) -> None:
    job = Job(evaluation.output)
    message = "Slurm job 7 was cancelled by uid 0. "
    run(job, lambda executor, job: executor.report_job_error(info(job, "7")))
    assert not evaluation.has_failure()
    run(job, lambda executor, job: executor.report_job_error(info(job, "7"), message))
    assert evaluation.failure_reason() == "Slurm job 7 was cancelled by uid 0."
    assert events.read(evaluation.events) == []  # the executor has printed it


def test_a_checkpoint_that_is_gone_is_the_reason_of_all_evaluations_of_its_job(
    tmp_path: Path, evaluation: EvaluationDirectory
) -> None:
    deployment = DeploymentDirectory(tmp_path / "m" / "deployment")
    deployment.path.mkdir()
    job = Job(members=(Job(deployment.output), Job(evaluation.output)))

    def fails(executor: Executor, job: Job) -> None:
        Journal(deployment.events).add(Event("failed"))
        deployment.fail("gone: it was deleted", kind=GoneError.kind)
        executor.report_job_error(info(job, "7"), "Slurm job 7 failed.")

    run(job, fails)
    failure = evaluation.read_failure() or {}
    assert (failure["reason"], failure["kind"]) == ("gone: it was deleted", "gone")


def test_an_interrupted_attempt_is_no_failure(evaluation: EvaluationDirectory) -> None:
    evaluation.note_attempt(Attempt(1, "fingerprint of m/b", "2026-11-25T10:00:00+00:00", "t"))
    job = Job(evaluation.output)
    run(job, lambda executor, job: executor.report_job_error(info(job, "7"), "cancelled"))
    assert not evaluation.has_failure()


def test_a_submission_removes_the_reason_of_a_refusal_and_no_other(
    evaluation: EvaluationDirectory,
) -> None:
    job = Job(evaluation.output)
    run(job, lambda executor, job: executor.report_job_error(info(job), "no"))
    assert evaluation.has_failure()
    run(job, lambda executor, job: executor.report_job_submission(info(job, "7")))
    assert not evaluation.has_failure()
    evaluation.fail("the harness exited with 3")
    forget(job)
    assert evaluation.failure_reason() == "the harness exited with 3"
