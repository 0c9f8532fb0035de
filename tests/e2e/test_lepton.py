"""Evaluations as jobs of Lepton and models as its endpoints, on a stand-in for the service."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from standin import StandIn

from snakeval.demo.server import DemoServer, serve
from snakeval.evaluation.record import Completion
from support.limits import HUNG
from support.on_lepton import OnLepton
from support.served import wait_for
from support.workspace import REPOSITORY, Done

IMAGE = "snakeval-testbed/python:3.11-slim"

#: Asks a sum, with the key that it is given; a sum is right by a model that is careful.
_ASK = """\
sleep {{ params.extra.pause | default(0) }}
python3 - {{ url }} {{ model_id }} <<'PYTHON' > {{ results }}/answer.json
import json, os, sys, urllib.request
url, model = sys.argv[1:]
message = {"role": "user", "content": "What is 21 + 21?"}
headers = {"Content-Type": "application/json"}
if os.environ.get("API_KEY"):
    headers["Authorization"] = "Bearer " + os.environ["API_KEY"]
body = json.dumps({"model": model, "messages": [message]}).encode()
with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
    text = json.load(answer)["choices"][0]["message"]["content"]
print(json.dumps({"right": float("42" in text)}))
PYTHON
"""

pytestmark = pytest.mark.images


@pytest.fixture(params=[False, True], ids=["deployments", "endpoints"])
def lepton(request: pytest.FixtureRequest) -> Iterator[StandIn]:
    with StandIn("docker") as standin:
        standin.workspace.new_endpoints = request.param
        demo = standin.workspace.volume("node-nfs:shared") / "demo"
        hidden = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / "workflow" / "snakeval", demo / "snakeval", ignore=hidden)
        yield standin


class Work(OnLepton):
    """A workspace on Lepton that also gives commands of snakeval."""

    def snakeval(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "snakeval", *words],
            cwd=self.directory, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def status(self) -> list[dict[str, Any]]:
        told = self.snakeval("status", self.run.name[-8:], "--json")
        assert told.returncode in (0, 1), told.stderr
        return list(json.loads(told.stdout)[0]["evaluations"])

    def nothing_is_left(self) -> None:
        workspace = self.standin.workspace
        wait_for(lambda: not workspace.endpoints.all, "the end of the endpoints")
        assert self.standin.alive == []
        assert workspace.secrets == {}
        assert not list(self.directory.rglob(".snakeval/lepton/*.json"))


@pytest.fixture
def demo() -> Iterator[DemoServer]:
    with serve() as server:
        yield server


@pytest.fixture
def work(lepton: StandIn, tmp_path: Path, demo: DemoServer) -> Work:
    """Two models, one of them an endpoint that exists, on two benchmarks."""
    benchmark = {
        "harness": "generic",
        "image": IMAGE,
        "command": _ASK,
        "metrics": {"file": "answer.json", "values": {"right": "right"}},
    }
    deployment: dict[str, Any] = {
        "kind": "generic",
        "image": IMAGE,
        "command": "exec python3 -m snakeval.demo.server --host {{ host }} --port {{ port }} "
        "--models {{ served_model_name }}",
        "set_env": {"PYTHONPATH": "/demo"},
        "lepton": {"mounts": ["node-nfs:shared/demo=/demo:ro"]},
    }
    work = Work.below(
        tmp_path,
        models={
            "served": {"deployment": {**deployment, "served_model_name": "x/careful"}},
            "other": {"endpoint": {"url": f"{demo.url}/v1", "model_id": "careful"}},
        },
        benchmarks={"b0": benchmark, "b1": {**benchmark, "params": {"extra": {"n": 1}}}},
    )
    work.standin = lepton
    return work


def paused(work: Work, seconds: int) -> None:
    for number, benchmark in enumerate(work.config["benchmarks"].values()):
        benchmark["params"] = {"extra": {"pause": seconds, "n": number}}


def running(work: Work, number: int) -> None:
    """Wait until so many jobs have begun to run; on a busy machine, the first may have ended."""
    wait_for(
        lambda: (
            sum(job.starts > 0 and job.state != "Starting" for job in work.standin.jobs) == number
        ),
        f"{number} running jobs",
    )


def states(work: Work) -> dict[str, str]:
    """Of the benchmarks of the one model that there is."""
    return {state["benchmark"]: state["state"] for state in work.status()}


def end(process: subprocess.Popen[str], number: int) -> Done:
    os.killpg(process.pid, number)
    output, _ = process.communicate(timeout=HUNG)
    return Done(process.returncode, output)


def test_a_matrix_is_evaluated_and_a_model_is_loaded_once(work: Work) -> None:
    done = work.snakemake()
    assert done.exit_code == 0, done.output
    table = work.table()
    assert dict(table["value"]) == dict.fromkeys(
        ("served/b0", "served/b1", "other/b0", "other/b1"), 1.0
    )
    assert [job.starts for job in work.standin.jobs] == [1] * 4, done.output
    assert list(work.standin.workspace.endpoints.loads.values()) == [1]
    work.nothing_is_left()
    assert work.snakemake().nothing_to_do
    record = Completion.from_json((work.run / "served/b0/evaluation.json").read_text())
    assert record.runtime.startswith("lepton smk-evaluate-")
    assert [entry["path"] for entry in record.manifest] == ["answer.json"]


def test_what_is_complete_is_adopted_without_a_job(work: Work) -> None:
    del work.config["models"]["served"]
    assert work.snakemake().exit_code == 0
    again = work.snakemake("--forceall")
    assert again.exit_code == 0, again.output
    assert len(work.standin.jobs) == 2


def test_after_a_killed_head_the_same_command_starts_no_job_twice_and_leaves_nothing(
    work: Work,
) -> None:
    paused(work, 8)
    head = work.start()
    # A slow machine may not run all of them at one time.
    wait_for(lambda: sum(job.starts for job in work.standin.jobs) == 4, "four starts")
    end(head, signal.SIGKILL)
    done = work.snakemake()
    assert done.exit_code == 0, done.output
    assert [job.starts for job in work.standin.jobs] == [1] * 4, done.output
    assert list(work.standin.workspace.endpoints.loads.values()) == [1]
    assert set(work.table()["value"]) == {1.0}
    work.nothing_is_left()


def test_ctrl_c_ends_jobs_and_endpoints(work: Work) -> None:
    paused(work, 60)
    head = work.start()
    running(work, 4)
    done = end(head, signal.SIGINT)
    assert done.exit_code != 0
    work.nothing_is_left()
    assert "Traceback" not in done.output


def test_kill_ends_what_a_killed_head_left(work: Work) -> None:
    paused(work, 600)
    head = work.start()
    running(work, 4)
    end(head, signal.SIGKILL)
    assert [s["state"] for s in work.status()] == ["running"] * 4
    killed = work.snakeval("kill", work.run.name[-8:])
    assert killed.returncode == 0, killed.stdout + killed.stderr
    assert "Ends Lepton job smk-evaluate-" in killed.stdout
    assert "Ends endpoint snakeval-served-" in killed.stdout
    work.nothing_is_left()
    assert "running" not in {s["state"] for s in work.status()}


@pytest.mark.parametrize("lepton", [True], ids=["endpoints"], indirect=True)
def test_one_evaluation_is_killed_and_its_snakemake_does_not_begin_it_again(
    work: Work,
) -> None:
    del work.config["models"]["served"]
    work.config["benchmarks"]["b1"]["params"] = {"extra": {"pause": 60}}
    head = work.start()
    wait_for(lambda: len(work.standin.jobs) == 2, "two jobs")
    wait_for(lambda: states(work)["b1"] == "running", "b1 does not run")
    killed = work.snakeval("kill", f"{work.run}/other/b1")
    assert killed.returncode == 0, killed.stdout + killed.stderr
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode == 1, output
    assert states(work) == {"b0": "done", "b1": "interrupted"}
    assert len(work.standin.jobs) == 2
    work.nothing_is_left()
    assert work.snakemake("-n").evaluated == {"other/b1"}


def test_a_failed_evaluation_has_its_reason_and_the_others_finish(work: Work) -> None:
    work.config["benchmarks"]["b1"]["command"] = "echo 'ValueError: no such split' >&2; exit 3"
    done = work.snakemake("--retries", "0")
    assert done.exit_code == 1
    table = work.table()
    assert table["reason"]["served/b1"] == ("the harness exited with 3; ValueError: no such split")
    assert table["value"]["served/b0"] == 1.0
    work.nothing_is_left()


def test_a_model_that_cannot_start_has_its_reason_and_its_endpoint_is_removed(
    work: Work,
) -> None:
    work.config["models"]["served"]["deployment"]["command"] = "echo no kernel image; exit 1"
    done = work.snakemake("--retries", "0")
    assert done.exit_code == 1
    table = work.table()
    assert "deployment failed: " in table["reason"]["served/b0"]
    assert table["value"]["other/b0"] == 1.0
    work.nothing_is_left()


def test_no_key_is_in_a_file_or_on_the_terminal(work: Work) -> None:
    paused(work, 3)
    head = work.start()
    wait_for(lambda: work.standin.workspace.secrets, "the endpoint's key")
    (key,) = work.standin.workspace.secrets.values()
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode == 0, output
    files = [p for p in work.directory.parent.rglob("*") if p.is_file()]
    told = [output, *(p.read_text(errors="replace") for p in files)]
    told += [str(job.as_json()) for job in work.standin.jobs]
    assert not [text for text in told if key in text or work.standin.workspace.token in text]
