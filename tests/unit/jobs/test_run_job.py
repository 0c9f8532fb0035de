"""How the jobs end when they are told to, from their first moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest

from snakeval.errors import EvaluationError, GoneError
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.events import Journal, read
from snakeval.files.damage import _Damage
from snakeval.jobs import run_job
from support.limits import HUNG
from support.served import wait_for

#: A module that is imported by both jobs, and takes its time.
SLOW = "import pathlib, time; pathlib.Path('imports').touch(); time.sleep(1800)"


@pytest.mark.parametrize("job", ["snakeval.jobs.evaluate", "snakeval.jobs.deploy"])
def test_ctrl_c_while_a_job_is_importing_is_silent(tmp_path: Path, job: str) -> None:
    (tmp_path / "argparse.py").write_text(SLOW)
    process = subprocess.Popen(
        [sys.executable, "-m", job, "record.json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for((tmp_path / "imports").exists, "it does not start")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=HUNG)
    assert (process.returncode, output) == (130, "")


@pytest.mark.parametrize(
    ("stopped", "code", "phase"), [(True, 130, "interrupted"), (False, 1, "failed")]
)
def test_what_a_stopped_job_lost_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: bool, code: int, phase: str
) -> None:
    """A kill ends the gateway beside the job, which may notice that first."""
    monkeypatch.setattr(_Damage, "repairs", False)  # a job repairs; the tests after this one look
    directory = EvaluationDirectory(tmp_path / "m/b")
    directory.events.parent.mkdir(parents=True)
    journal = Journal(directory.events)

    def work(stop: Event) -> int:
        if stopped:
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.wait(HUNG)
        raise EvaluationError("the harness cannot reach its gateway")

    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        assert run_job.run(directory, journal, directory.log, 0, work) == code
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert [event.phase for event in read(directory.events)] == [phase]
    assert bool(directory.failure_reason()) is not stopped


def test_the_kind_of_a_failure_is_in_its_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Damage, "repairs", False)
    directory = EvaluationDirectory(tmp_path / "m/b")
    directory.events.parent.mkdir(parents=True)

    def work(stop: Event) -> int:
        raise GoneError("gone: it was deleted")

    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        assert run_job.run(directory, Journal(directory.events), directory.log, 0, work) == 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    failure = directory.read_failure() or {}
    assert (failure["reason"], failure["kind"]) == ("gone: it was deleted", "gone")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("m/b", "m/b failed: deployment failed: no GPU"),
        ("m/deployment", "m/deployment failed: no GPU"),
    ],
)
def test_a_deployment_says_once_that_it_failed(name: str, line: str, tmp_path: Path) -> None:
    assert EvaluationDirectory(tmp_path / name).failed("deployment failed: no GPU") == line


def test_what_starts_for_each_evaluation_or_server_imports_no_configuration() -> None:
    program = (
        "import sys, snakeval.jobs.evaluate, snakeval.jobs.deploy, snakeval.serving.supervisor\n"
        "import snakeval.ledger.__main__\n"
        "print(*{'pydantic', 'docker', 'pandas', 'yaml'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=HUNG, check=True
    )
    assert done.stdout.split() == [], "each of them takes longer to import than a whole job"
