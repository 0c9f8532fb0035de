"""Some of the site policies of site_policies.py, which plays all of them by hand.

Those that change slurm.conf, or that take a minute, are left to the script.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.site_policies import CASES, OWN, PROFILE, own, play, prepare, qos
from support.command import says, started
from support.limits import HUNG
from support.served import wait_for
from support.slurm import queue, slurm
from support.workspace import Workspace

pytestmark = pytest.mark.slurm


@pytest.fixture(autouse=True)
def policies() -> Iterator[None]:
    """Limit an account, a QOS and a partition that no other test uses."""
    with own(alone=True):
        yield


@pytest.mark.parametrize(
    "name",
    [
        "QOS MaxSubmitJobsPerUser=0",
        "partition AllowAccounts",
        "held, then released",
        "missing gres",
    ],
)
def test_a_run_ends_or_says_why_not(name: str, tmp_path: Path) -> None:
    (case,) = [case for case in CASES if case.name == name]
    outcome = play(case, tmp_path)
    assert not outcome.problem, outcome.problem


def test_jobs_that_wait_for_a_limit_keep_no_other_job_waiting(tmp_path: Path) -> None:
    go = tmp_path / "go"
    limited = {"execution": {"slurm": {"account": OWN, "qos": OWN}}}
    work = Workspace.below(
        tmp_path,
        name="limits",
        runtime="process",
        models={"m": {"endpoint": {"url": "http://127.0.0.1:9/v1", "model_id": "m"}}},
        benchmarks={
            **{f"a{number}": says(number, waits_for=go) | limited for number in range(4)},
            "z": says(9),
        },
        execution={"slurm": {"account": "evals", "walltime": "00:30:00"}},
    )
    prepare()
    with qos("maxsubmitjobsperuser=1", "maxsubmitjobsperuser=-1")():
        head = started(work, "run", "--config", "config.yaml", "--profile", PROFILE)
        try:
            wait_for(
                lambda: work.runs and (work.run / "m/z/evaluation.json").exists(),
                "the job without a limit waits for those with one",
            )
            wait_for(lambda: len(queue(work.directory)) == 1, "the limit is not kept")
            go.touch()
            _, error = head.communicate(timeout=HUNG)
        finally:
            if head.poll() is None:
                os.killpg(head.pid, signal.SIGINT)
                head.communicate(timeout=HUNG)
            if left := queue(work.directory):
                slurm("scancel", *left)
    assert head.returncode == 0, error
    assert error.count("Slurm accepts no more jobs now") == 1
    assert set(work.table()["status"]) == {"done"}
