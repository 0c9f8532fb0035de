"""The executor slurm-resume with workflows that are not ours, on a real cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import snakemake.common.tests
from snakemake.settings.types import ResourceSettings

from snakemake_executor_plugin_slurm_resume import ExecutorSettings
from support.limits import HUNG
from support.served import wait_for
from support.slurm import ended, queue, slurm

pytestmark = pytest.mark.slurm

WAITING = """
rule all:
    input: expand("{number}.txt", number=range(40))
rule wait:
    output: "{number}.txt"
    resources: runtime=5, mem_mb=100
    shell: "sleep 1800; touch {output}"
"""
#: What the rules share that can be a Slurm job themselves, and those that cannot.
MANY = """
import os
rule all:
    input: "a/out.txt", "script.txt", "group2.txt"
rule input:
    output: "input.txt"
    localrule: True
    shell: "echo here > {output}"
rule shell:
    input: "input.txt"
    output: "a/out.txt"
    log: "logs/deep/shell.log"
    params: quotes="it's \\"$HOME\\" `date`"
    resources: runtime=5, mem_mb=100, slurm_comment="for the book"
    shell:
        "cat {input} > {output}; echo {params.quotes:q} >> {output}"
        "; false | true || echo pipefail > {log}"
rule script:
    output: "script.txt"
    resources: runtime=5, mem_mb=100
    run:
        with open(output[0], "w") as file:
            file.write(os.environ["SLURM_JOB_ID"])
rule group1:
    output: "group1.txt"
    group: "both"
    resources: runtime=5, mem_mb=100
    shell: "echo $SLURM_JOB_ID > {output}"
rule group2:
    input: "group1.txt"
    output: "group2.txt"
    group: "both"
    resources: runtime=5, mem_mb=100
    shell: "cat {input} > {output}; echo $SLURM_JOB_ID >> {output}"
"""
PARAMS = """
rule wait:
    output: "out.txt"
    params: said=config["said"]
    resources: runtime=5, mem_mb=100
    shell: "touch {params.said}.began; sleep {config[seconds]}; echo {params.said} > {output}"
"""


class Workflow:
    """A Snakefile in a directory of its own, run with the executor."""

    def __init__(self, directory: Path, snakefile: str) -> None:
        self.directory = directory
        (directory / "Snakefile").write_text(snakefile)

    def start(self, *options: str) -> subprocess.Popen[str]:
        command = [
            *(sys.executable, "-m", "snakemake", "--executor", "slurm-resume", "--jobs", "100"),
            *("--default-resources", "slurm_account=evals", "slurm_partition=cpu", "--nolock"),
            *("--slurm-resume-init-seconds-before-status-checks", "1", "--rerun-incomplete"),
            *("--slurm-resume-direct", "--slurm-resume-keep-successful-logs", *options),
        ]
        return subprocess.Popen(
            command,
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *options: str) -> tuple[int, str]:
        process = self.start(*options)
        output, _ = process.communicate(timeout=HUNG)
        return process.returncode, output

    @property
    def notes(self) -> list[dict[str, Any]]:
        return [
            json.loads(path.read_text())
            for path in (self.directory / ".snakemake" / "slurm_resume").glob("*.json")
        ]


@pytest.fixture
def workflow(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Workflow]:
    yield Workflow(tmp_path, request.param)
    if left := queue(tmp_path):
        slurm("scancel", *left)


@pytest.mark.parametrize("workflow", [WAITING], indirect=True)
def test_ctrl_c_while_forty_jobs_are_submitted_leaves_none(workflow: Workflow) -> None:
    head = workflow.start()
    wait_for(lambda: len(queue(workflow.directory)) >= 8, "nothing is submitted")
    os.killpg(head.pid, signal.SIGINT)  # as a terminal does: sbatch gets it, too
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode != 0
    assert "Perhaps left" not in output
    wait_for(lambda: not queue(workflow.directory), "jobs are left")
    assert len(ended(workflow.directory, 8)) < 40
    assert {job["state"] for note in workflow.notes for job in note["jobs"]} == {"CANCELLED"}


@pytest.mark.parametrize("workflow", [MANY], indirect=True)
def test_shell_commands_are_jobs_themselves_and_all_else_is_run_by_a_snakemake(
    workflow: Workflow,
) -> None:
    code, output = workflow.run("--slurm-resume-before", 'X="a b"\necho "$SLURM_JOB_ID" >> before')
    assert code == 0, output
    here = workflow.directory
    submitted = sorted(job["id"] for note in workflow.notes for job in note["jobs"])
    assert sorted((here / "before").read_text().split()) == submitted
    assert (here / "a/out.txt").read_text() == 'here\nit\'s "$HOME" `date`\n'
    assert (here / "logs/deep/shell.log").read_text() == "pipefail\n"
    assert len(set((here / "group2.txt").read_text().split())) == 1
    direct = {note["rule"] or note["group"]: note["direct"] for note in workflow.notes}
    assert direct == {"shell": True, "script": False, "both": False}
    comments = {job.number: job.comment for job in ended(here, 3)}
    assert "for the book" in comments.values()
    assert all(job["id"] in comments for note in workflow.notes for job in note["jobs"])


@pytest.mark.parametrize("workflow", [PARAMS], indirect=True)
def test_a_job_of_a_lost_snakemake_that_has_other_params_is_cancelled_not_adopted(
    workflow: Workflow,
) -> None:
    head = workflow.start("--config", "said=old", "seconds=100")
    wait_for((workflow.directory / "old.began").exists, "it does not begin")
    head.kill()
    head.communicate(timeout=HUNG)
    code, output = workflow.run("--config", "said=new", "seconds=0")
    assert code == 0, output
    assert "with other params. Cancelling it" in output
    assert (workflow.directory / "out.txt").read_text() == "new\n"


@pytest.mark.parametrize("workflow", [WAITING], indirect=True)
def test_bad_input_is_one_sentence_a_job(workflow: Workflow) -> None:
    code, output = workflow.run("--default-resources", "slurm_account=nobody", "--", "1.txt")
    assert code == 1
    assert "account nobody appears to be invalid" in output
    assert "Traceback" not in output
    code, output = workflow.run(
        "--default-resources", "slurm_account=evals", "slurm_partition=moon", "--", "1.txt"
    )
    assert code == 1
    assert "Slurm rejects it: " in output
    assert "invalid partition specified: moon" in output
    assert "Traceback" not in output
    assert queue(workflow.directory) == []


class TestOfficialHarness(snakemake.common.tests.TestWorkflowsLocalStorageBase):
    """Snakemake's own tests of executor plugins: a simple workflow, and one with groups."""

    __test__ = True

    def get_executor(self) -> str:
        return "slurm-resume"

    def get_executor_settings(self) -> ExecutorSettings:
        return ExecutorSettings(init_seconds_before_status_checks=1)

    def get_resource_settings(self) -> ResourceSettings:
        return ResourceSettings()


SLOW = """
rule all:
    input: expand("{number}.txt", number=range(4))
rule wait:
    output: "{number}.txt"
    resources: runtime=5, mem_mb=100
    shell: "until [ -e go ]; do sleep 0.2; done; touch {output}"
"""


def submitted(workflow: Workflow) -> int:
    return sum(len(note["jobs"]) for note in workflow.notes)


@pytest.mark.parametrize("workflow", [SLOW], indirect=True)
def test_two_snakemakes_that_begin_at_the_same_time_submit_each_task_once(
    workflow: Workflow,
) -> None:
    heads = [workflow.start() for _ in range(2)]
    wait_for(lambda: submitted(workflow) == 4, "not all is submitted")
    (workflow.directory / "go").touch()
    for head in heads:
        output, _ = head.communicate(timeout=HUNG)
        assert head.returncode == 0, output
    assert submitted(workflow) == 4
    assert len(ended(workflow.directory, 4)) == 4


@pytest.mark.parametrize("workflow", [SLOW], indirect=True)
@pytest.mark.parametrize("first_ends", [True, False])
def test_the_end_of_one_snakemake_leaves_the_jobs_that_another_waits_for(
    workflow: Workflow, first_ends: bool
) -> None:
    first = workflow.start()
    wait_for(lambda: len(queue(workflow.directory)) == 4, "nothing is submitted")
    second = workflow.start()
    heads = workflow.directory / ".snakemake/slurm_resume/heads"
    wait_for(
        lambda: [len(json.loads(h.read_text())["jobs"]) for h in heads.glob("*.json")] == [4, 4],
        "the second one adopts nothing",
    )
    ends, stays = (first, second) if first_ends else (second, first)
    os.killpg(ends.pid, signal.SIGINT)
    output, _ = ends.communicate(timeout=HUNG)
    assert "continues, since process" in output
    assert len(queue(workflow.directory)) == 4
    (workflow.directory / "go").touch()
    output, _ = stays.communicate(timeout=HUNG)
    assert stays.returncode == 0, output
    assert submitted(workflow) == 4
    assert not [*heads.glob("*.json")]
