"""Logs of jobs and endpoints on Lepton: copied while they live, and kept after their end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from standin import Fault, StandIn

from snakeval.executors.lepton import jobs, live_logs
from snakeval.executors.lepton.api import Platform
from snakeval.executors.lepton.endpoints import Endpoints
from snakeval.executors.lepton.live_logs import Copied, Follower, Line, copy
from snakeval.serving.directory import DeploymentDirectory
from support.lepton import free_port, served, standin, submitted
from support.made import Made, snakeval
from support.served import wait_for

Capture = pytest.CaptureFixture[str]


class Clock:
    """Runs on by a minute each time it is read."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 60
        return self.now


@pytest.fixture(params=[False, True], ids=["deployments", "endpoints"])
def lepton(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setattr("snakeval.executors.lepton.workspace_requests.BACKOFF", (0.05,))
    monkeypatch.setattr("snakeval.executors.lepton.readiness.POLL", 0.1)
    monkeypatch.setattr("snakeval.executors.lepton.stop.LOOK_SECONDS", 0.1)
    with standin(monkeypatch, request.param) as started:
        yield started


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    return Made(tmp_path, "b")


def follower(run: Made, name: str, told: list[str]) -> Follower:
    return Follower(run.directory, name, told.append, Clock())


def test_the_log_of_a_running_job_is_that_of_the_next_attempt_and_grows(
    run: Made, lepton: StandIn, tmp_path: Path
) -> None:
    log, told = run["b"].attempt_log(1), list[str]()
    more = tmp_path / "more"
    submitted(
        run.path,
        "m/b",
        f"echo one; echo '@@smk k 1 AAAA'; until [ -e {more} ]; do sleep 0.1; done; "
        "echo two; sleep 1800",
    )
    update = follower(run, "m/b", told)

    def has(text: str) -> bool:
        update()
        return log.exists() and log.read_text() == text

    wait_for(lambda: has("one\n"), "the first line")
    more.touch()
    wait_for(lambda: has("one\ntwo\n"), "the second line")
    # Another process continues where this one was.
    follower(run, "m/b", told)()
    assert log.read_text() == "one\ntwo\n"
    assert run["b"].attempt_logs() == [log]
    assert told == []


def test_logs_prints_what_a_running_job_has_printed(
    run: Made, lepton: StandIn, capsys: Capture
) -> None:
    job = submitted(run.path, "m/b", "echo 12 of 100; sleep 1800")
    wait_for(lambda: bool(lepton.workspace.jobs.all[job].lines()), "its line")
    told = snakeval(capsys, "logs", "0123abcd/m/b")
    assert (told.exit_code, told.out) == (0, "12 of 100\n")


def test_a_collected_job_has_one_log(run: Made, lepton: StandIn, tmp_path: Path) -> None:
    job = submitted(run.path, "m/b", "echo live; sleep 1800")
    directory, evaluation = run["b"], run.evaluations["b"]
    update = follower(run, "m/b", [])

    def copied() -> bool:
        update()
        return directory.attempt_log(1).exists()

    wait_for(copied, "its copy")
    back = directory.arrived(evaluation.fingerprint)
    back.mkdir()
    (back / "f").write_text('{"v": 0.5}')
    (tmp_path / "job.log").write_text("live\nand the rest\n")
    told = {"LEPTON_LOG": str(tmp_path / "job.log"), "LEPTON_SECONDS": "7", "LEPTON_JOB": job}
    assert jobs.collect(directory, evaluation.fingerprint, told) == 0
    assert directory.attempt_logs() == [directory.attempt_log(1)]
    assert directory.log.read_text() == "live\nand the rest\n"


def test_kill_keeps_the_log_of_a_job(run: Made, lepton: StandIn, capsys: Capture) -> None:
    job = submitted(run.path, "m/b", "echo was here; sleep 1800")
    wait_for(lambda: bool(lepton.workspace.jobs.all[job].lines()), "its line")
    assert snakeval(capsys, "kill", "0123abcd").exit_code == 0
    assert run["b"].attempt_log(1).read_text() == "was here\n"


def test_kill_ends_a_job_whose_log_cannot_be_read(
    run: Made, lepton: StandIn, capsys: Capture
) -> None:
    submitted(run.path, "m/b")
    lepton.faults.add(Fault("GET /logs", status=404, times=99))
    assert snakeval(capsys, "kill", "0123abcd").exit_code == 0
    assert lepton.alive == []


def test_the_log_of_an_endpoint_is_the_servers_and_stays_after_its_end(
    run: Made, lepton: StandIn, tmp_path: Path
) -> None:
    run.deploys("m", "m/b")
    plan = served(tmp_path, free_port())
    endpoints = Endpoints(run.directory, Platform(backoff=(0.05,)))
    endpoints.serve(plan, Event(), lambda text: None)
    (made,) = lepton.workspace.endpoints.all.values()
    directory = DeploymentDirectory.of(run.directory, "m")
    printed = made.replicas[0].past_lines
    printed.append((time.time_ns(), "loads weights"))
    update = follower(run, "m/deployment", [])
    update()
    before = directory.server_log.read_text()
    assert before.count("loads weights\n") == 1
    printed.append((time.time_ns(), "serves"))
    endpoints.end(lambda text: None)
    after = directory.server_log.read_text()
    assert after.startswith(before)
    assert [after.count(f"{text}\n") for text in ("loads weights", "serves")] == [1, 1]
    assert len(directory.server_logs()) == 1


def test_a_platform_that_does_not_answer_is_reported_once(run: Made, lepton: StandIn) -> None:
    submitted(run.path, "m/b")
    told: list[str] = []
    update = follower(run, "m/b", told)
    lepton.workspace.token = "new"
    update()
    update()
    assert len(told) == 1
    assert told[0].startswith("Lepton cannot be asked: could not list jobs: HTTP 401")


def test_a_run_without_jobs_on_lepton_sends_nothing(run: Made, lepton: StandIn) -> None:
    follower(run, "m/b", [])()
    follower(run, "m/deployment", [])()
    assert lepton.requests == []


def test_pages_and_lines_of_one_time_are_copied_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_logs, "_PAGE", 2)
    lines = [(5, "a"), (5, "b"), (6, "c"), (6, "d"), (7, "e")]

    def read(since: int, limit: int) -> list[Line]:
        # A service that gives more than one page of lines of one time has no smaller step.
        return [line for line in lines if line[0] >= min(since, 7)][: limit + 1]

    monkeypatch.setattr("time.time_ns", lambda: 0)
    for _ in range(2):
        copy(tmp_path / "note", "job", lambda: tmp_path / "log", read)
    assert (tmp_path / "log").read_text() == "a\nb\nc\nd\ne\n"
    lines.append((7, "f"))
    copy(tmp_path / "note", "job", lambda: tmp_path / "log", read)
    assert (tmp_path / "log").read_text() == "a\nb\nc\nd\ne\nf\n"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"of": 1}', "null"])
def test_a_damaged_note_is_empty(text: str) -> None:
    assert Copied.parse(text) == Copied()
