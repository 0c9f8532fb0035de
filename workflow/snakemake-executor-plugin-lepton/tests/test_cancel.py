"""Ctrl-C: afterwards nothing runs."""

from __future__ import annotations

import time

import pytest

from standin import Fault
from workflows import Workflow, ctrl_c, until

MANY = """
rule all:
    input: expand("{n}.txt", n=range(30))
rule sleeper:
    output: "{n}.txt"
    shell: "sleep 1800; touch {output}"
"""


@pytest.mark.parametrize("after", [1, 12])
def test_ctrl_c_leaves_no_job_not_even_while_submitting(workflow: Workflow, after: int) -> None:
    head = workflow.write(MANY).start()
    until(lambda: len(workflow.lepton.jobs) >= after, "submissions")
    output = ctrl_c(head)
    assert head.returncode != 0
    time.sleep(1)
    assert workflow.lepton.alive == [], output


def test_ctrl_c_looks_again_after_a_failed_deletion(workflow: Workflow) -> None:
    head = workflow.write(MANY.replace("range(30)", "range(3)")).start()
    until(lambda: sum(job.starts for job in workflow.lepton.jobs) == 3, "three running jobs")
    workflow.lepton.faults.add(Fault("DELETE /jobs", status=400))
    ctrl_c(head)
    assert workflow.lepton.alive == []


def test_another_snakemake_in_the_same_directory_keeps_its_jobs(workflow: Workflow) -> None:
    workflow.write(MANY)
    first = workflow.start("--nolock", "1.txt")
    until(lambda: len(workflow.lepton.alive) == 1, "the first one's job")
    second = workflow.start("--nolock", "2.txt")
    until(lambda: len(workflow.lepton.alive) == 2, "the second one's job")
    ctrl_c(second)
    (job,) = workflow.lepton.alive
    assert first.poll() is None
    ctrl_c(first)
    assert job.archived
    assert list(workflow.directory.glob(".snakemake/lepton/heads/*")) == []


def test_the_same_command_after_ctrl_c_completes_the_run(workflow: Workflow) -> None:
    few = MANY.replace("range(30)", "range(3)")
    head = workflow.write(few).start()
    until(lambda: sum(job.starts for job in workflow.lepton.jobs) == 3, "three running jobs")
    ctrl_c(head)
    run = workflow.write(few.replace("sleep 1800", "sleep 0")).run()
    assert run.code == 0, run.output
    assert workflow.lepton.alive == []
