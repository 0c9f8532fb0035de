"""`snakeval status` and `kill` of a run on Lepton: its jobs and its models' endpoints."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from threading import Event

import pytest
from standin import Fault, StandIn
from vendor import lep

from snakeval.errors import EvaluationError, Interrupted
from snakeval.executors.lepton import jobs
from snakeval.executors.lepton.api import Platform
from snakeval.executors.lepton.endpoints import Endpoints
from snakeval.executors.lepton.notes import Noted, Notes
from snakeval.executors.lepton.stop import close
from snakeval.processes import ProcessIdentity
from snakeval.run import heads
from support.lepton import free_port, served, standin, submitted
from support.made import Made, snakeval
from support.served import wait_for

Capture = pytest.CaptureFixture[str]


#: Of the two families of routes that endpoints have; else it is the newer one.
BOTH = pytest.mark.parametrize(
    "lepton", [False, True], ids=["deployments", "endpoints"], indirect=True
)


@pytest.fixture
def lepton(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setattr("snakeval.executors.lepton.workspace_requests.BACKOFF", (0.05,))
    monkeypatch.setattr("snakeval.executors.lepton.stop.LOOK_SECONDS", 0.1)
    monkeypatch.setattr("snakeval.executors.lepton.stop.PATIENCE", 0.3)
    monkeypatch.setattr("snakeval.executors.lepton.readiness.POLL", 0.1)
    with standin(monkeypatch, getattr(request, "param", True)) as started:
        yield started


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Two evaluations of the model `m`, which we serve."""
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    run = Made(tmp_path, "b", "other")
    run.deploys("m", "m/b", "m/other")
    return run


def serve(run: Made, tmp_path: Path, **options: int) -> str:
    plan = served(tmp_path, free_port(), lepton=options)
    return Endpoints(run.directory, Platform()).serve(plan, Event(), lambda text: None).name


def running(lepton: StandIn) -> None:
    wait_for(lambda: all(job.state == "Running" for job in lepton.alive), "the jobs do not run")


@BOTH
def test_status_names_jobs_and_endpoints_as_the_platform_does_by_one_list_each(
    run: Made, lepton: StandIn, tmp_path: Path, capsys: Capture
) -> None:
    name = serve(run, tmp_path, no_traffic_timeout=600)
    job, other = (submitted(run.path, f"m/{benchmark}") for benchmark in ("b", "other"))
    running(lepton)
    lepton.workspace.jobs.all[other].shown = "Queueing"
    lepton.requests.clear()
    told = snakeval(capsys, "status", "01")
    assert told.exit_code == 0, told.err
    assert (
        f"Endpoint {name} of m: Ready, 1 of 1 replicas ready; it is left: `snakeval kill 0123abcd` "
        "ends it, or Lepton after 600 s without a request\n"
    ) in told.out
    rows = {line.split()[0]: line for line in told.out.splitlines() if line.startswith("m/")}
    assert rows["m/b"].split()[1] == "running"
    assert f"Lepton job {job} is Running" in rows["m/b"]
    assert rows["m/other"].split()[1] == "waiting"
    assert f"Lepton job {other} is Queueing" in rows["m/other"]
    assert "Slurm" not in told.out
    assert len(lepton.asked(r"GET /jobs\?.*page=1&")) == 1
    assert len(lepton.asked("GET /(deployments|endpoints)")) == 1


def test_the_vendors_command_shows_them_under_the_names_that_status_prints(
    run: Made, lepton: StandIn, tmp_path: Path, capsys: Capture
) -> None:
    serve(run, tmp_path)
    submitted(run.path, "m/b", "echo it said this")
    wait_for(lambda: lepton.jobs[0].state == "Completed", "its end")
    told = json.loads(snakeval(capsys, "status", "01", "--json").out)[0]
    (job,) = (each["job"] for each in told["evaluations"] if each["job"])
    (endpoint,) = told["endpoints"]

    listed, endpoints, log = lep(
        tmp_path, {}, ["job", "list"], ["endpoint", "list"], ["job", "log", "--id", job]
    )
    assert job in listed
    assert endpoint["name"] in endpoints
    assert "it said this" in log


@BOTH
def test_status_counts_the_replicas_that_are_ready(
    run: Made, lepton: StandIn, tmp_path: Path, capsys: Capture
) -> None:
    serve(run, tmp_path, min_replicas=1, max_replicas=2, target_qpm=60)
    (endpoint,) = lepton.workspace.endpoints.all.values()
    endpoint.scale["min_replicas"] = (
        2  # the second may find its port taken; it then does not get ready
    )
    wait_for(lambda: len(endpoint.replicas) == 2, "no second replica")

    def ready() -> int:
        return sum(replica.ready for replica in endpoint.replicas)

    before = ready()
    told = json.loads(snakeval(capsys, "status", "01", "--json").out)[0]["endpoints"][0]
    assert (told["state"], told["wanted"]) == ("Ready", 2)
    assert told["ready"] in range(before, ready() + 1), "the second may get ready meanwhile"
    assert told["name"] == endpoint.name


def test_an_evaluation_waits_for_its_endpoint_while_a_snakemake_lives(
    run: Made, lepton: StandIn, tmp_path: Path, capsys: Capture
) -> None:
    name = serve(run, tmp_path)
    Notes(run.directory).write(Noted("m", name))  # as before it is ready
    heads.enter(run.directory, ["snakemake"])
    told = snakeval(capsys, "status", "01").out
    assert f"deploying  endpoint {name} of m: Ready, 1 of 1" in " ".join(told.split("   "))
    assert "it is left" not in told


@BOTH
def test_status_reports_an_endpoint_that_is_scaled_to_zero_or_gone(
    run: Made, lepton: StandIn, tmp_path: Path, capsys: Capture
) -> None:
    name = serve(run, tmp_path)
    (endpoint,) = lepton.workspace.endpoints.all.values()
    lepton.workspace.ttl_scale = 0  # nobody asks it, for longer than it is kept
    wait_for(lambda: endpoint.phase == "Stopped", "scaled to zero")
    told = snakeval(capsys, "status", "01").out
    assert f"Endpoint {name} of m: Stopped, 0 of 0 replicas ready\n" in told
    lepton.workspace.endpoints.delete(endpoint)
    wait_for(lambda: not lepton.workspace.endpoints.all, "deleted")
    assert f"Endpoint {name} of m: gone\n" in snakeval(capsys, "status", "01").out


def test_what_cannot_be_asked_is_unknown(
    run: Made, lepton: StandIn, tmp_path: Path, capsys: Capture
) -> None:
    name = serve(run, tmp_path)
    submitted(run.path, "m/b")
    lepton.faults.add(Fault(".", status=500, times=10**6))
    told = snakeval(capsys, "status", "01")
    assert (told.exit_code, told.err) == (0, "")
    why = "Lepton cannot be asked: could not list jobs: HTTP 500"
    assert f"Endpoint {name} of m: unknown, {why}" in told.out
    (row,) = (line for line in told.out.splitlines() if line.startswith("m/b "))
    assert row.split()[1] == "unknown"
    assert why in row
    killed = snakeval(capsys, "kill", "01")
    assert killed.exit_code == 1
    assert "left: jobs on Lepton, perhaps: could not list jobs: HTTP 500" in killed.err
    assert f"left: endpoint {name} of Lepton, perhaps: " in killed.err
    lepton.faults.clear()
    assert snakeval(capsys, "kill", "01").exit_code == 0
    assert lepton.alive == []
    assert lepton.workspace.secrets == {}


@BOTH
def test_kill_of_one_evaluation_ends_its_job_and_the_endpoint_with_the_last(
    run: Made, lepton: StandIn, tmp_path: Path, capsys: Capture
) -> None:
    name = serve(run, tmp_path)
    job, other = (submitted(run.path, f"m/{benchmark}") for benchmark in ("b", "other"))
    said = snakeval(capsys, "kill", "01/m/b")
    assert (said.exit_code, said.err) == (0, "")
    assert said.out.splitlines() == [
        f"Ends Lepton job {job} of m/b",
        "0123abcd/m/b: pending; `snakeval resume 0123abcd` does the rest",
    ]
    assert [each.id for each in lepton.alive] == [other]
    assert list(lepton.workspace.endpoints.all) == [name]
    again = snakeval(capsys, "kill", "01/m/b")
    assert again.out == "0123abcd/m/b: nothing to stop, it is pending\n"
    said = snakeval(capsys, "kill", "01/m/other")
    assert said.out.splitlines()[:2] == [
        f"Ends Lepton job {other} of m/other",
        f"Ends endpoint {name} of m",
    ]
    wait_for(lambda: not lepton.workspace.endpoints.all, "its end")
    assert lepton.alive == []
    assert lepton.workspace.secrets == {}


def test_the_snakemake_of_a_killed_evaluation_does_not_begin_it_again_but_the_next_does(
    run: Made, lepton: StandIn, tmp_path: Path, capsys: Capture
) -> None:
    name = serve(run, tmp_path)
    heads.enter(run.directory, ["snakemake"])
    submitted(run.path, "m/b")
    said = snakeval(capsys, "kill", "01/m/b")
    assert (said.exit_code, said.err) == (0, "")
    assert said.out.splitlines()[-1].startswith("0123abcd/m/b: interrupted; ")
    assert list(lepton.workspace.endpoints.all) == [name]  # the other will ask it
    fingerprint = run.evaluations["b"].fingerprint
    with pytest.raises(Interrupted):
        jobs.collect(run["b"], fingerprint, {"LEPTON_PROBLEM": "it ended without a receipt"})
    assert not run["b"].failure.exists()
    with pytest.raises(Interrupted):
        jobs.prepare(run["b"], fingerprint)
    heads.leave(run.directory)  # and the next start
    with pytest.raises(EvaluationError, match="Lepton runs containers"):
        jobs.prepare(run["b"], fingerprint)


def test_kill_keeps_what_has_ended_for_the_next_start(
    run: Made, lepton: StandIn, capsys: Capture
) -> None:
    job = submitted(run.path, "m/b", "true")
    wait_for(lambda: lepton.jobs[0].state == "Completed", "its end")
    (row,) = (line for line in snakeval(capsys, "status", "01").out.splitlines() if "m/b" in line)
    assert f"Lepton job {job} is Completed, and the next start collects it" in row
    said = snakeval(capsys, "kill", "01")
    assert (said.exit_code, said.err) == (0, "")
    kept = f"Keeps Lepton job {job} of m/b, Completed: the next start collects it"
    assert said.out.splitlines()[0] == kept
    assert [each.id for each in lepton.alive] == [job]


def test_kill_lists_jobs_and_endpoints_that_do_not_stop(
    run: Made, lepton: StandIn, tmp_path: Path, capsys: Capture
) -> None:
    name = serve(run, tmp_path)
    job = submitted(run.path, "m/b")
    running(lepton)
    lepton.faults.add(Fault("DELETE ", status=200, times=10**6, body="{}"))  # it says so only
    said = snakeval(capsys, "kill", "01")
    assert said.exit_code == 1
    assert f"snakeval: left: Lepton job {job} of m/b, Running\n" in said.err
    assert f"snakeval: left: endpoint {name} of Lepton: it was deleted, and is Ready\n" in said.err
    lepton.faults.clear()
    assert snakeval(capsys, "kill", "01").exit_code == 0


def test_an_endpoint_that_a_dead_head_left_is_named_and_ended_when_all_is_done(
    run: Made, lepton: StandIn, tmp_path: Path, capsys: Capture
) -> None:
    run.done("b")
    run.done("other")
    name = serve(run, tmp_path)
    assert f"Endpoint {name} of m: Ready, 1 of 1 replicas ready; it is left" in (
        snakeval(capsys, "status", "01").out
    )
    said = snakeval(capsys, "kill", "01")
    assert said.exit_code == 0
    assert f"Ends endpoint {name} of m" in said.out
    assert Notes(run.directory).all() == []
    assert "Endpoint" not in snakeval(capsys, "status", "01").out


def test_a_damaged_note_still_names_its_endpoint(run: Made, lepton: StandIn) -> None:
    Notes(run.directory).write(Noted("m", "snakeval-m-1"))
    (file,) = run.path.glob(".snakeval/lepton/*.json")
    file.write_text("{")
    assert Notes(run.directory).all() == [Noted("", "snakeval-m-1")]


def test_the_last_snakemake_of_a_run_deletes_its_endpoints(
    run: Made, lepton: StandIn, tmp_path: Path
) -> None:
    name = serve(run, tmp_path)
    other = ProcessIdentity.of(os.getppid())
    head = heads.Head(
        other.host, other.pid, other.start, "snakemake", "", other.boot, other.namespace
    )
    note = run.directory.head_file(other.host, other.pid)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps(asdict(head)))
    heads.enter(run.directory, ["snakemake"])
    told: list[str] = []
    close(run.directory, told.append)
    assert told == [f"endpoints stay: process {other.pid} on {other.host} works at the run"]
    note.unlink()
    close(run.directory, told.append)
    assert told[1:] == [f"deleted endpoint {name} of m"]
    heads.leave(run.directory)
