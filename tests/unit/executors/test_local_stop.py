"""A stop ends the jobs that hold no lease: they wait for it, have lost it, or do not read it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.executors.local_stop import end_left_processes
from snakeval.lease import Lease
from snakeval.matrix.expand import expand
from snakeval.run.directory import RunDirectory
from snakeval.runtimes.marked import MARK
from snakeval.watch.stop import Patience, stop
from support.configs import COMMAND, MODEL, config
from support.gateways import gateway, started
from support.ledger import counting, run, until
from support.limits import HUNG
from support.machine import eventually

PATIENCE = Patience(grace=60, step=1, settle=60)


@pytest.fixture
def directory(tmp_path: Path) -> EvaluationDirectory:
    benchmark = {**COMMAND, "command": f"touch {tmp_path}/harness; sleep 1800"}
    settings = {"runtime": "process", "models": {"m": MODEL}, "benchmarks": {"b": benchmark}}
    (evaluation,) = expand(config(tmp_path, settings))
    directory = RunDirectory(tmp_path / "run").evaluation("m/b")
    directory.define(evaluation)
    return directory


@pytest.fixture
def job(directory: EvaluationDirectory) -> Iterator[psutil.Popen]:
    """A job as Snakemake starts it: with a relative path in the run's working directory."""
    record = directory.published.relative_to(directory.run_path.parent)
    words = [sys.executable, "-m", "snakeval.jobs.evaluate", str(record)]
    words += ["--fingerprint", directory.read_evaluation().fingerprint, "--head", str(os.getpid())]
    process = psutil.Popen(words, cwd=directory.run_path.parent, stderr=subprocess.PIPE, text=True)
    yield process
    for each in (*process.children(recursive=True), process):
        each.kill()
    process.communicate()


@pytest.fixture
def holder(directory: EvaluationDirectory) -> Iterator[subprocess.Popen[bytes]]:
    """Another process, which holds the evaluation's lease."""
    with subprocess.Popen(["sleep", "1800"]) as process:
        with Lease(directory.lease):
            data = json.loads(directory.lease.read_text())
        start = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]
        directory.lease.write_text(json.dumps({**data, "pid": process.pid, "start": start}))
        yield process
        process.kill()


def test_a_stop_ends_a_job_that_waits_for_the_job_that_it_ends(
    tmp_path: Path,
    directory: EvaluationDirectory,
    holder: subprocess.Popen[bytes],
    job: psutil.Popen,
) -> None:
    eventually(
        lambda: directory.events.exists() and "waiting" in directory.events.read_text(),
        "it does not wait",
    )
    stopped = stop(RunDirectory.of(directory), "m/b", lambda text: None, PATIENCE)
    assert stopped.left == []
    assert not job.is_running() or job.status() == psutil.STATUS_ZOMBIE
    assert not (tmp_path / "harness").exists()


@pytest.mark.parametrize("damage", ["", "garbage", None])
def test_a_stop_ends_a_job_whose_lease_is_gone_or_damaged(
    tmp_path: Path, directory: EvaluationDirectory, job: psutil.Popen, damage: str | None
) -> None:
    eventually((tmp_path / "harness").exists, "the harness does not start")
    if damage is None:
        directory.lease.unlink()
    else:
        directory.lease.write_text(damage)
    said: list[str] = []
    stopped = stop(RunDirectory.of(directory), None, said.append, PATIENCE)
    assert stopped.left == []
    assert said[0] == f"Ends the job of m/b (process {job.pid})"
    assert not job.is_running() or job.status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def left(directory: EvaluationDirectory) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the evaluation's harness, without a reaper and without a job."""
    env = {**os.environ, MARK: directory.container_name}
    with subprocess.Popen(["sleep", "1800"], env=env) as process:
        yield process
        process.kill()


def test_the_end_of_a_command_kills_what_a_killed_job_left(
    directory: EvaluationDirectory,
    holder: subprocess.Popen[bytes],
    left: subprocess.Popen[bytes],
) -> None:
    holder.kill()
    holder.wait()
    end_left_processes(RunDirectory.of(directory))
    assert left.wait(timeout=HUNG) == -9


def test_the_end_of_a_command_spares_the_harness_of_another_command(
    directory: EvaluationDirectory,
    holder: subprocess.Popen[bytes],
    left: subprocess.Popen[bytes],
) -> None:
    end_left_processes(RunDirectory.of(directory))
    directory.lease.write_text("garbage")
    end_left_processes(RunDirectory.of(directory))
    os.kill(left.pid, 0)
    assert left.poll() is None


def test_the_end_of_a_command_spares_other_runs(
    tmp_path: Path, directory: EvaluationDirectory, left: subprocess.Popen[bytes]
) -> None:
    other = RunDirectory(tmp_path / "other")
    (other.path / "m").mkdir(parents=True)
    shutil.copytree(directory.path, other.evaluation("m/b").path)
    end_left_processes(other)
    assert left.poll() is None
    end_left_processes(RunDirectory.of(directory))
    assert left.wait(timeout=HUNG) == -9


@pytest.mark.parametrize("drains", [False, True])
def test_a_stop_does_not_let_a_gateway_finish_its_requests(
    directory: EvaluationDirectory, drains: bool
) -> None:
    """Its job may be dead, so that it drains already. It would for ten minutes."""

    async def scenario() -> None:
        endpoint = await started(counting(600))
        with gateway(directory.requests, endpoint, grace=600) as process:
            under_way = asyncio.ensure_future(process.post({"messages": []}))
            await until(lambda: len(endpoint.asked) == 1)
            if drains:
                process.parent_dies()
                await until(lambda: process.drains)
            of = RunDirectory.of(directory)
            stopped = await asyncio.to_thread(stop, of, "m/b", lambda text: None, PATIENCE)
            assert stopped.left == []
            assert stopped.was_any
            assert await process.ended() == 0, "it closed its journal; SIGKILL would end it with -9"
            assert process.summary["answers"]["asked"] == 0
            await asyncio.wait([under_way])

    run(scenario())
