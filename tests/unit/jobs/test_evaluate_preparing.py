"""A job that waits for its image ends with its head, a signal or `kill`; so does the conversion.

tests/e2e/test_preparing.py has the same of pip, which takes seconds of processor time to start.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.matrix.expand import expand
from snakeval.run.directory import RunDirectory
from snakeval.watch.stop import Patience, stop
from support.configs import COMMAND, MODEL, config
from support.hanging import variables
from support.limits import HUNG
from support.machine import eventually, lines

PATIENCE = Patience(grace=60, step=1, settle=60)


@pytest.fixture
def head() -> Iterator[subprocess.Popen[bytes]]:
    """What counts as the job's Snakemake."""
    with subprocess.Popen(["sleep", "1800"]) as process:
        yield process
        process.kill()


def started(directory: EvaluationDirectory, head: int, **env: str) -> psutil.Popen:
    fingerprint = directory.read_evaluation().fingerprint
    words = [sys.executable, "-m", "snakeval.jobs.evaluate", str(directory.published)]
    words += ["--fingerprint", fingerprint, "--head", str(head)]
    return psutil.Popen(words, env={**os.environ, **env})


@pytest.fixture
def directory(tmp_path: Path) -> EvaluationDirectory:
    """An evaluation whose harness has an image."""
    benchmark = {**COMMAND, "image": "registry.example/harness:1"}
    settings = {"models": {"m": MODEL}, "benchmarks": {"b": benchmark}}
    (evaluation,) = expand(config(tmp_path, {"runtime": "apptainer", **settings}))
    directory = RunDirectory(tmp_path / "run").evaluation("m/b")
    directory.define(evaluation)
    return directory


@pytest.fixture
def job(
    tmp_path: Path, directory: EvaluationDirectory, head: subprocess.Popen[bytes]
) -> Iterator[tuple[psutil.Popen, list[psutil.Process]]]:
    """A job whose image is converted and never will be, and the processes below it."""
    hangs = tmp_path / "hangs"
    env = variables(tmp_path) | {"SNAKEVAL_HOME": str(tmp_path / "home")}
    process = started(directory, head.pid, **env)
    eventually(hangs.exists, "apptainer does not start")
    below = process.children(recursive=True)
    assert int(hangs.read_text()) in [each.pid for each in below]
    yield process, below
    for each in (process, *below):
        if each.is_running():
            each.kill()


def living(processes: list[psutil.Process]) -> list[str]:
    """Return the commands of those that are still there after a while."""
    _, alive = psutil.wait_procs(processes, timeout=HUNG)
    return lines(alive)


def test_the_death_of_its_head_ends_the_job_and_what_it_waits_for(
    job: tuple[psutil.Popen, list[psutil.Process]], head: subprocess.Popen[bytes]
) -> None:
    process, below = job
    head.kill()
    head.wait()
    assert living([process, *below]) == []
    assert process.returncode == 130


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_to_the_job_ends_the_conversion_of_its_image(
    job: tuple[psutil.Popen, list[psutil.Process]],
    directory: EvaluationDirectory,
    number: signal.Signals,
) -> None:
    process, below = job
    process.send_signal(number)
    assert living([process, *below]) == []
    assert process.returncode == (-9 if number == signal.SIGKILL else 130)
    assert not directory.has_failure()


def test_kill_stops_a_job_that_waits_for_its_image(
    job: tuple[psutil.Popen, list[psutil.Process]], directory: EvaluationDirectory
) -> None:
    process, below = job
    said: list[str] = []
    stopped = stop(RunDirectory.of(directory), None, said.append, PATIENCE)
    assert stopped.left == []
    assert said == [f"Ends the job of m/b (process {process.pid})"]
    process.wait(timeout=HUNG)
    assert [each.pid for each in below if each.is_running()] == []


def test_kill_ends_a_conversion_whose_job_was_killed(
    job: tuple[psutil.Popen, list[psutil.Process]], directory: EvaluationDirectory
) -> None:
    process, below = job
    # A reaper that was stopped, as a debugger or a full cgroup does, ends nothing by itself.
    (reaper,) = process.children()
    reaper.suspend()
    process.kill()
    process.wait()
    stopped = stop(RunDirectory.of(directory), None, lambda text: None, Patience(1, 1, 60))
    assert stopped.left == []
    assert stopped.was_any
    assert living(below) == []
