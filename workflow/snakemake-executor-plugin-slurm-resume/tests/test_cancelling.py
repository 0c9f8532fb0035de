"""The cancelling of jobs, also while Slurm is silent."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support.limits import HUNG

from snakemake_executor_plugin_slurm_resume import slurm
from snakemake_executor_plugin_slurm_resume.cancelling import cancel, end_submissions


@pytest.fixture
def standin(standin: Any) -> Any:
    for number, name in (("1", "mine"), ("2", "mine"), ("3", "other"), ("4", "lost")):
        row = f"{number}|RUNNING|0:01|5:00|n1|N/A|None|{name}|/w\n"
        (standin.directory / "jobs" / number).write_text(row)
    return standin


def no_pause(seconds: float) -> None:
    """Wait for nothing: the stand-in acts at once."""


def test_all_jobs_are_cancelled_by_one_call_and_the_spared_ones_stay(standin: Any) -> None:
    done = cancel({"1", "2", "3"}, (), {"3"}, pause=no_pause)
    assert (done.left, done.said) == (frozenset(), ())
    assert standin.cancelled == ["1 2"]
    assert standin.jobs == ["3", "4"]


def test_a_job_whose_submission_was_interrupted_is_found_by_its_name(standin: Any) -> None:
    assert not cancel({"1"}, {"lost"}, (), pause=no_pause).left
    assert standin.jobs == ["2", "3"]


def test_a_silent_slurm_leaves_the_jobs_and_ends_at_the_deadline(standin: Any) -> None:
    standin.is_silent()
    slurm.deadline.within(0.3)
    done = cancel({"1", "2"}, (), (), pause=no_pause)
    assert done.left == {"1", "2"}
    assert done.said[0].startswith("scancel does not answer within")


def test_a_submission_without_an_answer_is_interrupted(standin: Any) -> None:
    standin.is_silent()
    with ThreadPoolExecutor(2) as pool:
        for _ in range(5):
            pool.submit(subprocess.run, "sbatch", shell=True, check=False)
        until = time.monotonic() + HUNG
        while not (standin.directory / "asked").exists():
            assert time.monotonic() < until
            time.sleep(0.01)
        end_submissions(pool, 0.1)


def test_after_the_deadline_slurm_is_not_asked(standin: Any) -> None:
    slurm.deadline.within(0)
    with pytest.raises(slurm.UnansweredError, match="not asked, since Snakemake ends"):
        slurm.queue()


def test_scancels_equal_lines_are_one(standin: Any) -> None:
    line = "scancel: error: Kill job error on job id {}: Unable to contact slurm controller"
    lines = "\n".join(line.format(number) for number in range(20))
    (standin.directory / "scancel").write_text(f"#!/bin/sh\necho '{lines}' >&2\nexit 1\n")
    assert slurm.cancel(["1"]) == ["scancel: Unable to contact slurm controller"]
