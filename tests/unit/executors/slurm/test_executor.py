"""The stop of a run's Slurm jobs, with commands that note what they were asked."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from snakeval.executors.base import Fate, Stage, Stopping
from snakeval.executors.slurm import commands, executor, queue
from snakeval.executors.slurm.controller import Controller
from snakeval.executors.slurm.executor import _Live
from snakeval.executors.slurm.queue import link_notes
from snakeval.run.directory import RunDirectory
from snakeval.watch.stop import Patience, _Loop

DOWN = "echo 'scancel: error: Unable to contact slurm controller' >&2; exit 1"
NAMES = ("m/a", "m/b", "m/c")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs that note their arguments; squeue prints a file, and scancel empties it."""
    place = tmp_path / "bin"
    place.mkdir()
    bodies = {"squeue": f"cat {place}/jobs", "scancel": f": > {place}/jobs", "sacct": ""}
    for name, body in bodies.items():
        (place / name).write_text(f'#!/bin/sh\necho "$*" >> {place}/{name}.asked\n{body}\n')
        (place / name).chmod(0o755)
    rows = (f"{number}|RUNNING|None|N/A|n1\n" for number, _ in enumerate(NAMES, 1))
    (place / "jobs").write_text("".join(rows))
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    controller = Controller(seconds=20, brief=20)
    for module in (commands, queue, executor):
        monkeypatch.setattr(module, "CONTROLLER", controller)
    return place


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """A run with a running job for each evaluation."""
    monkeypatch.chdir(tmp_path)
    run = RunDirectory(tmp_path / "results" / "run")
    run.write_plan([])
    link_notes(run)
    run.slurm_notes.resolve().mkdir(parents=True)
    for number, name in enumerate(NAMES, 1):
        job = {"id": str(number), "state": "RUNNING", "node": "n1", "elapsed": 5, "log": "/l"}
        data = {"outputs": [run.evaluation(name).output], "jobs": [job]}
        (run.slurm_notes / f"{number}.json").write_text(json.dumps(data))
    return run


def stopped(live: _Live) -> list[str]:
    patience = Patience(grace=0.1, step=0.1, settle=0.1, look=0.02)
    asked = [Stopping({Stage.WORKERS: live})]
    return _Loop(asked, lambda line: None, patience).run().left


def test_all_jobs_are_cancelled_by_one_call(run: RunDirectory, programs: Path) -> None:
    live = _Live(run, "")
    remains = list(live())
    assert [remain.text for remain in remains] == [
        f"Slurm job {number} runs on n1 ({name})" for number, name in enumerate(NAMES, 1)
    ]
    for remain in remains:
        act = remain.acts[0]
        assert act is not None
        act()
    assert (programs / "scancel.asked").read_text() == "1 2 3\n"


def test_one_evaluation_is_cancelled_alone(run: RunDirectory, programs: Path) -> None:
    (remain,) = _Live(run, "m/b")()
    act = remain.acts[0]
    assert act is not None
    act()
    assert (programs / "scancel.asked").read_text() == "2\n"


def test_each_harder_act_is_one_call_as_well(run: RunDirectory, programs: Path) -> None:
    (programs / "scancel").write_text(f'#!/bin/sh\necho "$*" >> {programs}/scancel.asked\n')
    live = _Live(run, "")
    for _ in range(3):
        remains = list(live())
    for number in range(3):
        for remain in remains:
            act = remain.acts[number]
            assert act is not None
            act()
    assert (programs / "scancel.asked").read_text() == (
        "1 2 3\n1 2 3\n--signal=KILL --full 1 2 3\n"
    )


def test_a_controller_that_is_down_is_asked_by_one_call_and_every_job_is_left(
    run: RunDirectory, programs: Path
) -> None:
    for name in ("squeue", "scancel"):
        (programs / name).write_text(f'#!/bin/sh\necho "$*" >> {programs}/{name}.asked\n{DOWN}\n')
    # The accounting still answers.
    (programs / "sacct").write_text("#!/bin/sh\necho '1|RUNNING|None|N/A|n1'\n")
    live = _Live(run, "", patience=0.05)
    assert stopped(live) == [
        f"Slurm job {number} ({name}), perhaps: squeue: scancel: error: Unable to contact slurm "
        "controller"
        for number, name in enumerate(NAMES, 1)
    ]
    assert (programs / "scancel.asked").read_text() == "1 2 3\n"
    assert [remain.fate for remain in live()] == [Fate.UNKNOWN] * 3


@pytest.fixture
def asked(programs: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands of a Slurm that never answers, as they are asked."""
    for name in ("squeue", "scancel", "sacct"):
        (programs / name).write_text("#!/bin/sh\nexec sleep 1800\n")
    found: list[str] = []
    real = subprocess.run

    def run(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        found.append(command[0])
        return real(command, **options)

    monkeypatch.setattr(subprocess, "run", run)
    return found


def test_a_slurm_that_hangs_is_asked_by_few_calls(
    run: RunDirectory, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    controller = Controller(seconds=0.3, brief=0.1, memory=1000)
    for module in (commands, queue, executor):
        monkeypatch.setattr(module, "CONTROLLER", controller)
    # Once the controller was silent, the accounting has only a moment.
    accounting = Controller(seconds=1000, brief=0.1, memory=1000, commands=("sacct",))
    monkeypatch.setattr(queue, "ACCOUNTING", accounting)
    assert len(stopped(_Live(run, "", patience=0.05))) == len(NAMES)
    assert (asked.count("squeue"), asked.count("sacct")) == (1, 1)


def test_a_stop_of_a_slurm_that_hangs_has_an_end(
    run: RunDirectory, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    controller = Controller(seconds=60, brief=0.1, memory=0)
    accounting = Controller(seconds=60, brief=0.1, memory=0, commands=("sacct",))
    for module in (commands, queue, executor):
        monkeypatch.setattr(module, "CONTROLLER", controller)
    for module in (queue, executor):
        monkeypatch.setattr(module, "ACCOUNTING", accounting)
    monkeypatch.setattr(executor, "_STOP_SECONDS", 0.3)
    executor.Slurm().hurry()
    assert len(stopped(_Live(run, ""))) == len(NAMES)
    # Also the look after the stop, at once.
    assert all(job.lives for job in queue.Queue(run).live())
    assert sorted(asked) == ["sacct", "scancel", "squeue"]
