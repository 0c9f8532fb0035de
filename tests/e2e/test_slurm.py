"""Evaluations as Slurm jobs, on the cluster of tests/testbed/slurm.sh.

``SNAKEVAL_SLURM_FULL=1`` makes the test of time limits the long one: two minutes for five minutes
of work, of an endpoint and of a deployed model.

Long because all cases share the cluster and the fixtures of its runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from snakeval.demo.server import DemoServer, serve
from support.faulty import faulty
from support.journals import said
from support.limits import HUNG
from support.served import Served, wait_for
from support.slurm import (
    Job,
    ended,
    kill_node,
    mend,
    node_of,
    queue,
    slurm,
    stop_accounting,
    stop_controller,
)
from support.workspace import REPOSITORY, Workspace

pytestmark = pytest.mark.slurm

SECRET = "a-secret-that-nobody-may-see"
#: A score that only who has the secret can know.
LENGTH = """echo "{\\"score\\": $(printf %s "$TOKEN" | wc -c)}" > {{ results }}/score.json"""
FAILS = "echo no such file >&2; exit 3"
#: Asks twelve questions, four at a time. Their sum is its score.
FOUR_AT_ONCE = """exec python3 - {{ url }} {{ results }} <<'PYTHON'
import json, pathlib, sys, urllib.request
from concurrent.futures import ThreadPoolExecutor
url, results = sys.argv[1:]
def ask(number):
    message = {"role": "user", "content": f"What is {number} + 1?"}
    body = json.dumps({"model": "careful", "messages": [message]}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return int(json.load(answer)["choices"][0]["message"]["content"].split()[-1].rstrip("."))
with ThreadPoolExecutor(4) as pool:
    score = sum(pool.map(ask, range(12)))
pathlib.Path(results, "score.json").write_text(json.dumps({"score": score}))
PYTHON
"""


#: Asks some questions one after the other, and takes a lost answer for a wrong one.
TOLERANT = """exec python3 - {{ url }} {{ results }} %s <<'PYTHON'
import json, pathlib, sys, urllib.request
url, results, *numbers = sys.argv[1:]
right = 0
for number in numbers:
    message = {"role": "user", "content": f"What is {number} + 1?"}
    body = json.dumps({"model": "m-1", "messages": [message]}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            right += json.load(answer)["choices"][0]["message"]["content"] == "yes"
    except OSError:
        pass
pathlib.Path(results, "score.json").write_text(json.dumps({"score": right}))
PYTHON
"""


class Cluster(Workspace):
    """A workspace whose evaluations are Slurm jobs."""

    partition = "cpu"
    #: Minutes; 0 is the partition's.
    limit = 0

    def command(self, *options: str) -> list[str]:
        (self.directory / "config.yaml").write_text(yaml.safe_dump(self.config, sort_keys=False))
        return [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")),
            *("--profile", str(REPOSITORY / "profiles" / "slurm"), "--configfile", "config.yaml"),
            *("--default-resources", "slurm_account=evals", f"slurm_partition={self.partition}"),
            *([f"runtime={self.limit}"] if self.limit else []),
            *("--slurm-resume-max-seconds-between-status-checks", "3"),
            *options,
        ]

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "SNAKEVAL_TEST_TOKEN": SECRET}

    def jobs(self, count: int) -> list[Job]:
        """Its jobs that have ended, at least so many."""
        return ended(self.directory, count)

    @property
    def queue(self) -> list[str]:
        """The numbers of its jobs that wait or run."""
        return queue(self.directory)


def states(jobs: list[Job]) -> Counter[tuple[str, str]]:
    """How often a job for what ended how; the comment says what for."""
    return Counter((job.comment.removeprefix("rule_"), job.state) for job in jobs)


def lives(number: str) -> list[str]:
    """The states of a job that was requeued, the last one last."""
    return slurm("sacct", "-D", "-X", "-n", "-P", "-j", number, "-o", "State").split()


def waits_for(work: Workspace, head: subprocess.Popen[str]) -> int:
    """How many Slurm jobs a head waits for."""
    for note in work.directory.glob("results/*/.snakeval/slurm_resume/heads/*.json"):
        with contextlib.suppress(FileNotFoundError):  # of a head that is gone
            if (found := json.loads(note.read_text()))["pid"] == head.pid:
                return len(found["jobs"])
    return 0


def clustered(made: Served) -> Cluster:
    made.work = Cluster(made.work.directory, made.work.home, made.work.config)
    return made.work


def cleared(made: Served, work: Cluster) -> None:
    if queue := work.queue:
        slurm("scancel", *queue)
    made.nothing_is_left()


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with serve() as server:
        yield server


@pytest.fixture
def endpoint(tmp_path: Path, server: DemoServer) -> Iterator[Served]:
    """The model `m`, an endpoint that exists; on no benchmark yet."""
    made = Served(tmp_path, "process")
    work = clustered(made)
    at = {"url": f"{server.url}/v1", "model_id": "careful"}
    work.config["models"] = {"m": {"endpoint": at}}
    yield made
    cleared(made, work)


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Served]:
    """Two models that are served on a GPU each, with three benchmarks."""
    made = two_models(tmp_path)
    work = clustered(made)
    work.partition = "gpu"
    yield made
    cleared(made, work)


def two_models(directory: Path, count: int = 4, pause: float = 0.0) -> Served:
    made = Served(directory, "process", "careful", "sloppy", gpus=1)
    for number in range(3):
        made.asks(f"b{number}", seed=number, count=count, pause=pause)
    return made


def test_evaluations_of_an_endpoint_are_jobs_of_their_own_and_a_secret_is_nowhere(
    endpoint: Served, server: DemoServer
) -> None:
    work = endpoint.work
    assert isinstance(work, Cluster)
    for number in range(2):
        endpoint.asks(f"b{number}", seed=number)
    endpoint.asks("bad", seed=8)
    work.config["benchmarks"]["bad"]["command"] = FAILS
    endpoint.asks("secret", seed=9)
    work.config["benchmarks"]["secret"] |= {
        "env": {"TOKEN": "SNAKEVAL_TEST_TOKEN"},
        "command": LENGTH,
    }
    done = work.snakemake("--retries", "0")
    assert done.exit_code == 1, done.output
    assert "Traceback" not in done.output
    table = work.table()
    assert dict(table["status"]) == {
        "m/b0": "done", "m/b1": "done", "m/bad": "failed", "m/secret": "done",
    }  # fmt: skip
    assert table["reason"]["m/bad"] == "the harness exited with 3; no such file"
    assert table["value"]["m/secret"] == len(SECRET)
    assert (server.stats()["answered"], server.stats()["repeated"]) == (8, 0)
    jobs = work.jobs(4)
    assert states(jobs) == {
        ("evaluate_wildcards_m_b0", "COMPLETED"): 1,
        ("evaluate_wildcards_m_b1", "COMPLETED"): 1,
        ("evaluate_wildcards_m_bad", "FAILED"): 1,
        ("evaluate_wildcards_m_secret", "COMPLETED"): 1,
    }
    assert {job.gpus for job in jobs} == {0}

    seen = [slurm("scontrol", "show", "job", job.number) for job in jobs]
    seen += [slurm("sacct", "-j", job.number, "--batch-script") for job in jobs]
    assert all("snakemake" in script for script in seen[4:]), "no scripts in the accounting"
    seen += [p.read_text(errors="replace") for p in work.directory.rglob("*") if p.is_file()]
    assert not [text for text in seen if SECRET in text]

    assert work.snakemake("-n").evaluated == {"m/bad"}


def test_kill_9_of_the_head_and_the_same_command_again_adopts_the_jobs_that_run(
    endpoint: Served, server: DemoServer
) -> None:
    work = clustered(endpoint)
    for number in range(3):
        endpoint.asks(f"b{number}", seed=number, count=20, stays_at=10)
    head = work.start()
    wait_for(lambda: server.stats()["answered"] == 30, "nothing is asked")
    os.kill(head.pid, signal.SIGKILL)
    head.communicate(timeout=HUNG)
    running = work.queue
    again = work.start()
    wait_for(lambda: waits_for(work, again) == 3, "not all are adopted")
    endpoint.go()
    output, _ = again.communicate(timeout=HUNG)
    assert again.returncode == 0, output
    assert output.count("Adopting it") == 3
    assert {job.number for job in work.jobs(3)} == set(running)
    assert (server.stats()["answered"], server.stats()["repeated"]) == (60, 0)
    assert set(work.table()["attempt"]) == {1}


def test_who_is_cancelled_uses_a_retry_who_is_requeued_does_not_and_both_resume(
    endpoint: Served, server: DemoServer
) -> None:
    work = clustered(endpoint)
    for name in ("cancelled", "requeued"):
        endpoint.asks(name, seed=len(name), count=6, stays_at=3)
    head = work.start()
    wait_for(lambda: server.stats()["answered"] == 6, "nothing is asked")
    slurm("scancel", *queue(work.directory, "m_cancelled"))
    slurm("scontrol", "requeue", *queue(work.directory, "m_requeued"))
    endpoint.go()
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode == 0, output
    assert "was cancelled by uid 0" in output
    # What was being answered when a harness was told to end may be asked again.
    assert server.stats()["distinct"] == 12
    assert server.stats()["repeated"] <= 2
    assert states(work.jobs(3)) == {
        ("evaluate_wildcards_m_cancelled", "CANCELLED"): 1,
        ("evaluate_wildcards_m_cancelled", "COMPLETED"): 1,
        ("evaluate_wildcards_m_requeued", "COMPLETED"): 1,
    }


def test_a_killed_job_asks_no_request_again_that_was_under_way(
    endpoint: Served, server: DemoServer
) -> None:
    work = clustered(endpoint)
    endpoint.asks("b", seed=1)
    work.config["benchmarks"]["b"]["command"] = FOUR_AT_ONCE
    # Four are answered, and four are under way for longer than a scancel takes.
    server.behaviour = replace(server.behaviour, delay=2)
    head = work.start()
    wait_for(lambda: server.stats()["requests"] >= 8, "nothing is asked")
    slurm("scancel", *work.queue)
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode == 0, output
    assert states(work.jobs(2)) == {
        ("evaluate_wildcards_m_b", "CANCELLED"): 1,
        ("evaluate_wildcards_m_b", "COMPLETED"): 1,
    }
    assert (server.stats()["requests"], server.stats()["repeated"]) == (12, 0)
    assert work.table()["value"]["m/b"] == sum(range(1, 13))


def test_a_time_limit_is_no_failure_and_no_evaluation_is_computed_twice(
    endpoint: Served, server: DemoServer
) -> None:
    work = clustered(endpoint)
    full = os.environ.get("SNAKEVAL_SLURM_FULL") == "1"
    # The signal comes up to a minute before three quarters of the limit.
    minutes, count = (2, 300) if full else (1, 50)
    if full:
        command = f"{endpoint.deployment['command']} --delay 1"
        slow = {**endpoint.deployment, "command": command}
        work.config["models"]["careful"] = {"deployment": slow}
    # The model takes the time: a harness that starts again has all earlier answers at once.
    server.behaviour = replace(server.behaviour, delay=1)
    endpoint.asks("b", seed=1, count=count)
    work.limit = minutes
    head = work.start("--retries", "0")
    output, _ = head.communicate(timeout=900 if full else 240)
    assert head.returncode == 0, output
    again = output.count("submitted again")
    assert again >= (3 if full else 1)
    served = endpoint.recorded.answers
    assert server.stats()["distinct"] == count
    assert len(served) == (count if full else 0)
    # What was being answered when a harness was told to end may be asked again.
    assert server.stats()["repeated"] + served.total() - len(served) <= again
    jobs = work.jobs(again + len(work.config["models"]))
    assert sum(job.state == "COMPLETED" for job in jobs) == len(work.config["models"])


@pytest.mark.changes_slurm
def test_a_job_whose_node_dies_resumes_on_another(endpoint: Served, server: DemoServer) -> None:
    work = clustered(endpoint)
    endpoint.asks("b", seed=1, count=8, stays_at=3)
    head = work.start("--retries", "0")
    wait_for(lambda: server.stats()["answered"] == 3, "nothing is asked")
    (number,) = work.queue
    node = node_of(number)
    try:
        kill_node(node, number)
        endpoint.go()
        output, _ = head.communicate(timeout=HUNG)
    finally:
        mend()
    assert head.returncode == 0, output
    assert server.stats()["distinct"] == 8
    assert server.stats()["repeated"] <= 1
    assert slurm("sacct", "-X", "-n", "-j", number, "-o", "NodeList").strip() != node


@pytest.mark.changes_slurm
def test_a_controller_that_restarts_is_waited_for(endpoint: Served, server: DemoServer) -> None:
    work = clustered(endpoint)
    endpoint.asks("b", seed=1, count=10, pause=1)
    head = work.start("--retries", "0")
    wait_for(lambda: server.stats()["answered"] >= 2, "nothing is asked")
    try:
        stop_controller()
        wait_for(lambda: server.stats()["answered"] >= 7, "the job does not go on")
    finally:
        mend()
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode == 0, output
    assert output.count("Slurm does not answer") <= 2
    assert (server.stats()["answered"], server.stats()["repeated"]) == (10, 0)
    assert states(work.jobs(1)) == {("evaluate_wildcards_m_b", "COMPLETED"): 1}


@pytest.mark.changes_slurm
def test_without_the_accounting_a_run_begins_resumes_and_ends(
    endpoint: Served, server: DemoServer
) -> None:
    work = clustered(endpoint)
    for name in ("adopted", "cancelled"):
        endpoint.asks(name, seed=len(name), count=6, stays_at=3)
    try:
        stop_accounting()
        head = work.start()
        wait_for(lambda: server.stats()["answered"] == 6, "nothing is asked")
        os.kill(head.pid, signal.SIGKILL)
        output, _ = head.communicate(timeout=HUNG)
        assert output.count("The accounting does not answer") == 1
        assert "account evals is not checked" in output
        again = work.start()
        wait_for(lambda: waits_for(work, again) == 2, "not all are adopted")
        slurm("scancel", *queue(work.directory, "m_cancelled"))
        endpoint.go()
        output, _ = again.communicate(timeout=HUNG)
    finally:
        mend()
    assert again.returncode == 0, output
    # Slurm says of a failed job why, if it can.
    assert output.count("Slurm does not answer (sacct: ") == 1
    assert output.count("Adopting it") == 2
    assert (server.stats()["answered"], server.stats()["repeated"]) == (12, 0)
    # The accounting has all jobs in the end, without the comments of those that began meanwhile.
    assert Counter(job.state for job in work.jobs(3)) == {"COMPLETED": 2, "CANCELLED": 1}


def test_a_preempted_job_is_requeued_and_resumes(endpoint: Served, server: DemoServer) -> None:
    work = clustered(endpoint)
    endpoint.asks("b", seed=1, count=6, stays_at=3)
    # A node of its own: the urgent job takes the node from this job, and from no other test's.
    asked = {"account": "evals", "partition": "cpu", "qos": "scavenger", "exclusive": True}
    work.config["execution"] = {"slurm": asked}
    head = work.start("--retries", "0")
    wait_for(lambda: server.stats()["answered"] == 3, "nothing is asked")
    (number,) = work.queue
    urgent = ("--account=evals", "--qos=urgent", "--exclusive", f"--nodelist={node_of(number)}")
    slurm("sbatch", *urgent, "--time=1", "--output=/dev/null", "--wrap=true")
    wait_for(lambda: "PREEMPTED" in lives(number), "it is not preempted")
    endpoint.go()
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode == 0, output
    assert lives(number) == ["PREEMPTED", "COMPLETED"]
    assert (server.stats()["answered"], server.stats()["repeated"]) == (6, 0)
    assert set(work.table()["status"]) == {"done"}


def test_a_deployed_model_and_its_evaluations_are_one_job_which_a_failing_one_does_not_stop(
    deployed: Served, tmp_path: Path
) -> None:
    work = deployed.work
    assert isinstance(work, Cluster)
    local = tmp_path / "local"
    local.mkdir()
    here = two_models(local)
    assert here.work.snakemake("--resources", "gpu=2").exit_code == 0
    command = work.config["benchmarks"]["b1"]["command"]
    work.config["benchmarks"]["b1"]["command"] = FAILS
    # One after the other, so that there is something that could be stopped.
    done = work.snakemake("--retries", "0", "--cores", "1")
    assert done.exit_code == 1, done.output
    assert dict(work.table()["status"]) == {
        "careful/b0": "done", "careful/b1": "failed", "careful/b2": "done",
        "sloppy/b0": "done", "sloppy/b1": "failed", "sloppy/b2": "done",
    }  # fmt: skip
    jobs = work.jobs(2)
    assert states(jobs) == {
        ("careful_deploy_evaluate", "FAILED"): 1,
        ("sloppy_deploy_evaluate", "FAILED"): 1,
    }
    assert {job.gpus for job in jobs} == {1}
    assert deployed.recorded.loads == {"careful": 1, "sloppy": 1}
    logs = work.directory.glob(".snakemake/slurm_logs/group_*/**/*.log")
    cores = re.findall(r"Provided cores: (\d+)", "".join(log.read_text() for log in logs))
    assert cores == ["1", "1"], "they are not the job's"

    work.config["benchmarks"]["b1"]["command"] = command
    again = work.snakemake("--retries", "0")
    assert again.exit_code == 0, again.output
    assert again.evaluated == {"careful/b1", "sloppy/b1"}
    assert deployed.scores() == here.scores()
    assert set(deployed.recorded.answers.values()) == {1}


def test_kill_9_of_the_head_of_deployed_models_adopts_their_allocations(tmp_path: Path) -> None:
    made = two_models(tmp_path, count=12, pause=1)
    work = clustered(made)
    head = work.start()
    wait_for(lambda: made.recorded.answers.total() >= 6, "nothing is asked")
    os.kill(head.pid, signal.SIGKILL)
    head.communicate(timeout=HUNG)
    running = work.queue
    again = work.snakemake()
    assert again.exit_code == 0, again.output
    assert {job.number for job in work.jobs(2)} == set(running)
    assert set(made.recorded.answers.values()) == {1}
    assert made.recorded.answers.total() == 2 * 3 * 12
    cleared(made, work)


def test_a_failure_of_health_a_warning_and_a_budget(endpoint: Served) -> None:
    def behaves(number: int, before: int) -> tuple[int, Any]:
        if number == 2:
            return 500, {"error": {"message": "the engine broke"}}
        return 200, said("yes", "length" if 10 <= number < 20 else "stop")

    def asks(*numbers: int) -> dict[str, Any]:
        score = {"file": "score.json", "values": {"score": "score"}}
        command = TOLERANT % " ".join(map(str, numbers))
        return {"harness": "generic", "command": command, "metrics": score}

    work = endpoint.work
    assert isinstance(work, Cluster)
    with faulty(behaves) as model:
        work.config |= {
            "name": "health",
            "params": {"max_retries": 0},
            "models": {"m": {"endpoint": {"url": model.url, "model_id": "m-1"}}},
            "benchmarks": {"fails": asks(1, 2, 3), "warns": asks(11, 12, 13)},
        }
        assert work.snakemake("-n").exit_code == 0
        assert model.asked == []
        done = work.snakemake("--retries", "0")
        assert done.exit_code == 1, done.output
        table = work.table()
        assert dict(table["status"]) == {"m/fails": "failed", "m/warns": "done"}
        assert "rule health.given_up: fail at 1" in table["reason"]["m/fails"]
        assert table["health"]["m/warns"] == "100 % cut"
        assert "Warning: m/warns: 3 of 3 answers were cut by the token limit" in done.output

        (first,) = work.runs
        work.config |= {
            "name": "budget",
            "benchmarks": {"counted": asks(*range(21, 31))},
            "budget": {"requests": 4},
        }
        done = work.snakemake("--retries", "0")
        assert done.exit_code == 1, done.output
        (second,) = set(work.runs) - {first}
        assert dict(work.table(second)["status"]) == {"m/counted": "failed"}
        assert "is used up" in work.table(second)["reason"]["m/counted"]
        counted = [number for number in model.asked if number > 20]
        assert 4 <= len(counted) <= 5, "one request at a time was in flight"
        work.config["budget"] = {"requests": 20}
        done = work.snakemake("--retries", "0")
        assert done.exit_code == 0, done.output
        assert work.table(second)["value"]["m/counted"] == 10
        assert sorted(n for n in model.asked if n > 20) == [*range(21, 31)], "none is asked twice"
