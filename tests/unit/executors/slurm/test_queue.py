"""What is known of a run's Slurm jobs, with squeue and sacct that say what a test wants."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snakeval.executors.base import JobState
from snakeval.executors.slurm.executor import Slurm
from snakeval.executors.slurm.queue import Queue, link_notes
from snakeval.run.directory import RunDirectory
from snakeval.run.heads import enter, leave
from snakeval.serving.directory import DeploymentDirectory
from support.links import refuse_symlinks

Says = Callable[..., Path]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """A run with a link to the notes of the directory that it was started in."""
    monkeypatch.chdir(tmp_path)
    run = RunDirectory(tmp_path / "results" / "run")
    run.write_plan([])
    link_notes(run)
    run.slurm_notes.resolve().mkdir(parents=True)
    return run


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Says:
    """Put programs on PATH, alone: each notes what it was asked and prints a text."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))

    def say(program: str, *lines: str, error: str = "", code: int = 0) -> Path:
        path, asked = programs / program, programs / f"{program}.asked"
        text = "\n".join(lines)
        path.write_text(
            f"#!/bin/sh\necho \"$*\" >> '{asked}'\n"
            + (f"echo '{text}'\n" if text else "")
            + (f"echo '{error}' >&2\n" if error else "")
            + f"exit {code}\n"
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return asked

    return say


def note(run: RunDirectory, *names: str, file: str = "", jobs: list[dict[str, Any]]) -> None:
    """What the executor notes of a task that makes the records of *names*."""
    outputs = [
        DeploymentDirectory(run.path / name).output
        if "deployment" in name
        else run.evaluation(name).output
        for name in names
    ]
    data = {"name": "n", "rule": "", "group": "", "outputs": outputs, "jobs": jobs}
    path = run.slurm_notes / f"{file or names[0].replace('/', '_')}.json"
    path.write_text(json.dumps(data))


def job(id: int, state: str = "RUNNING", **more: Any) -> dict[str, Any]:
    return {"id": str(id), "state": state, "node": "n1", "elapsed": 5, "log": "/log"} | more


def test_a_run_that_submitted_nothing_has_no_jobs_and_asks_no_slurm(tmp_path: Path) -> None:
    queue = Queue(RunDirectory(tmp_path))
    assert (queue.jobs, queue.of("m/b"), queue.silent) == ([], None, "")


def test_all_jobs_are_asked_for_in_one_call(run: RunDirectory, says: Says) -> None:
    note(run, "m/a", jobs=[job(1)])
    note(run, "m/b", jobs=[job(2, "PENDING")])
    note(run, "m/c", jobs=[job(3, "COMPLETED")])
    asked = says("squeue", "1|RUNNING|None|2026-11-25T10:00:00|n3",
                 "2|PENDING|Resources|2026-11-25T12:00:00|")  # fmt: skip
    queue = Queue(run)
    assert str(queue.of("m/a")) == "Slurm job 1 runs on n3"
    said = "Slurm job 2 waits (Resources), expected to start 2026-11-25T12:00:00"
    assert str(queue.of("m/b")) == said
    assert [found.id for found in queue.live()] == ["1", "2"]
    assert [line.split()[-1] for line in asked.read_text().splitlines()] == ["1,2"]


def test_jobs_that_cannot_start_have_no_expected_start_and_one_line_for_all_alike(
    run: RunDirectory, says: Says
) -> None:
    for number, name in enumerate("abcde", start=1):
        note(run, f"m/{name}", jobs=[job(number, "PENDING")])
    reason = "Job's account not permitted to use this partition (p allows x not y)"
    says("squeue", f"1|PENDING|{reason}|2026-11-25T12:00:00|".replace("'", "'\\''"),
         f"2|PENDING|{reason}|2026-11-25T12:00:00|".replace("'", "'\\''"),
         "3|PENDING|JobHeldUser|2026-11-25T12:00:00|", "4|REQUEUE_HOLD||N/A|",
         "5|PENDING|Priority|2026-11-25T12:00:00|")  # fmt: skip
    queue = Queue(run)
    assert str(queue.of("m/a")) == f"Slurm job 1 cannot start ({reason})"
    assert str(queue.of("m/c")) == "Slurm job 3 cannot start (JobHeldUser)"
    assert str(queue.of("m/d")) == "Slurm job 4 cannot start (REQUEUE_HOLD)"
    assert str(queue.of("m/e")).endswith("expected to start 2026-11-25T12:00:00")
    alike, held, requeued = queue.notices
    assert alike.startswith(f"2 Slurm jobs cannot start ({reason}): ")
    assert alike.endswith("Jobs: 1, 2")
    assert "`scontrol release 3`" in held
    assert "`scontrol release 4`" in requeued


def test_those_that_the_controller_has_forgotten_are_asked_of_the_accounting(
    run: RunDirectory, says: Says
) -> None:
    note(run, "m/deployment", "m/a", "m/b", jobs=[job(7)])
    says("squeue", error="slurm_load_jobs error: Invalid job id specified", code=1)
    says("sacct", "7|CANCELLED by 1000|None|2026-11-25T10:00:00|n1")
    queue = Queue(run)
    found = queue.of("m/b")
    assert found is queue.of("m/deployment")
    assert str(found) == "Slurm job 7 was cancelled on n1 by 1000"
    assert not queue.live()
    assert queue.silent == ""


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("TIMEOUT", "reached its time limit"), ("NODE_FAIL", "lost its node"),
        ("PREEMPTED", "was preempted"), ("OUT_OF_MEMORY", "ran out of memory"),
        ("CLOSED", "closed before its time limit"), ("SUSPENDED", "suspended"),
    ],
)  # fmt: skip
def test_a_sentence_states_how_a_job_ended(
    run: RunDirectory, says: Says, state: str, words: str
) -> None:
    says("squeue")
    note(run, "m/b", jobs=[job(1, state)])
    assert str(Queue(run).of("m/b")) == f"Slurm job 1 {words} on n1"


def test_the_newest_job_of_an_evaluation_counts(run: RunDirectory) -> None:
    note(run, "m/b", jobs=[job(9, "TIMEOUT"), job(10, "FAILED")])
    note(run, "m/b", "m/c", file="group", jobs=[job(8, "NODE_FAIL")])
    queue = Queue(run)
    assert (queue.of("m/b") or job).id == "10"
    assert (queue.of("m/c") or job).id == "8"


def test_a_slurm_that_does_not_answer_is_reported_and_no_job_counts_as_ended(
    run: RunDirectory, says: Says
) -> None:
    note(run, "m/b", jobs=[job(1)])
    says("squeue", error="Unable to contact slurm controller (connect failure)", code=1)
    queue = Queue(run)
    found = queue.of("m/b")
    assert found is not None
    assert (found.lives, found.certain) == (True, False)
    assert queue.silent == "squeue: Unable to contact slurm controller (connect failure)"
    (Path(os.environ["PATH"]) / "squeue").unlink()
    assert Queue(run).live()
    queue = Queue(run)
    assert queue.jobs
    assert queue.silent == "there is no squeue on this machine"


def test_a_job_that_only_a_silent_accounting_could_know_is_unknown(
    run: RunDirectory, says: Says
) -> None:
    note(run, "m/b", jobs=[job(1)])
    says("squeue", error="slurm_load_jobs error: Invalid job id specified", code=1)
    says("sacct", error="sacct: error: Problem talking to the database", code=1)
    found = Slurm().jobs(run).of("m/b")
    assert found is not None
    assert found.state is JobState.UNKNOWN
    assert found.text.endswith("1 cannot be asked for: sacct: error: Problem talking to "
                               "the database")  # fmt: skip
    says("sacct", error="Slurm accounting storage is disabled", code=1)
    found = Slurm().jobs(run).of("m/b")
    assert found is not None
    assert found.text == "Slurm job 1 runs on n1"


def test_the_notes_of_other_runs_of_the_directory_are_passed_over(run: RunDirectory) -> None:
    path = run.slurm_notes / "other.json"
    other = {"outputs": [f"{run.path.parent}/other/m/b/evaluation.json"], "jobs": [job(1)]}
    path.write_text(json.dumps(other))
    (run.slurm_notes / "torn.json").write_text('{"outputs": [')
    assert Queue(run).noted == []


def test_a_run_on_a_file_system_without_links_leads_to_its_notes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refuse_symlinks(monkeypatch)
    run = RunDirectory(tmp_path / "results" / "run")
    run.write_plan([])
    link_notes(run)
    link_notes(run)
    assert run.all_slurm_notes() == {tmp_path / ".snakemake/slurm_resume"}


def test_a_run_that_is_started_elsewhere_leads_to_the_notes_there(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    link_notes(run)
    assert run.slurm_notes.readlink() == elsewhere / ".snakemake" / "slurm_resume"


def test_jobs_of_snakemakes_in_two_directories_are_both_the_runs(
    run: RunDirectory, says: Says, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says("squeue", "7|RUNNING|None|N/A|n1", "8|RUNNING|None|N/A|n1")
    note(run, "m/b", jobs=[job(7)])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    link_notes(run)
    run.slurm_notes.resolve().mkdir(parents=True)
    note(run, "m/c", jobs=[job(8)])
    assert {found.id for found in Queue(run).live()} == {"7", "8"}


def test_a_job_that_a_limit_keeps_out_of_the_queue_has_a_reason_while_a_head_lives(
    run: RunDirectory, says: Says
) -> None:
    note(run, "m/a", jobs=[job(1)])
    note(run, "m/b", jobs=[])
    note(run, "m/c", jobs=[job(3, "TIMEOUT")])
    limit = "QOSMaxSubmitJobPerUserLimit"
    for name in ("m_b", "m_c", "m_a"):
        path = run.slurm_notes / f"{name}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "waits": limit}))
    says("squeue", "1|RUNNING|None|2026-11-25T10:00:00|n3")
    enter(run, ["snakemake"])
    jobs = Slurm().jobs(run)
    for name in ("m/b", "m/c"):
        found = jobs.of(name)
        assert found is not None
        assert (found.id, found.state) == ("", JobState.WAITING)
        assert found.text.startswith(f"Slurm accepts no more jobs now ({limit}); ")
    running = jobs.of("m/a")
    assert running is not None
    assert running.id == "1", "a job in the queue explains more"
    leave(run)
    assert Slurm().jobs(run).of("m/b") is None, "its head has ended"
