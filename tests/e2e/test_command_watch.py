"""`snakeval status`, `logs`, `kill` at real runs: running, failed, killed, finished, elsewhere.

Long because each case needs a run, and all cases share the fixtures that make one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snakeval.executors.engines import containers
from snakeval.processes import process_lives
from support import forks
from support.limits import HUNG
from support.served import Served, kill_9, wait_for
from support.workspace import Done, Workspace

SCORE = {"file": "score.json", "values": {"score": "score"}}
GOOD = "echo '{\"score\": 1}' > {{ results }}/score.json"
RUNTIMES = [
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("podman", marks=pytest.mark.podman),
    "process",
]
IMAGE = "snakeval-testbed/busybox:latest"


class Command:
    """The command, typed in another directory than the run's."""

    def __init__(self, work: Workspace) -> None:
        self.work = work

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return forks.Process(
            [sys.executable, "-m", "snakeval", *arguments],
            cwd="/",
            env=self.work.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __call__(self, *arguments: str) -> Done:
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=HUNG)
        assert "Traceback" not in output, output
        return Done(process.returncode, output)

    def states(self, run: Path | None = None) -> dict[str, dict[str, Any]]:
        """What is said of each evaluation, by its name; nothing of a run without a plan yet."""
        told = self("status", "--json", str(run or self.work.run))
        if told.exit_code == 2 and "it starts just now" in told.output:
            return {}
        (view,) = json.loads(told.output)
        return {f"{e['model']}/{e['benchmark']}": e for e in view["evaluations"]}

    def said(self, evaluation: str, run: Path | None = None) -> str:
        return str(self.states(run).get(evaluation, {}).get("state", ""))


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    return Workspace.below(
        tmp_path,
        runtime="process",
        models={"m": {"endpoint": {"url": "http://127.0.0.1:1/v1", "model_id": "m"}}},
        benchmarks={},
    )


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


def generic(command: str) -> dict[str, Any]:
    return {"harness": "generic", "command": command, "metrics": SCORE}


def gated(gate: Path) -> dict[str, Any]:
    """A benchmark that tells that it is there, and waits until `gate` exists."""
    wait = f"while [ ! -e '{gate}' ]; do sleep 0.1; done"
    return generic(f"echo begins; {wait}; echo ends; {GOOD}")


def begun(work: Workspace, *evaluations: str) -> Callable[[], bool]:
    """Whether the harness of each has printed."""

    def printed(name: str) -> bool:
        logs = work.directory.glob(f"results/*/{name}/logs/attempt-*.log")
        return any("begins" in log.read_text() for log in logs)

    return lambda: all(map(printed, evaluations))


def test_status_reports_each_state_while_it_lasts(work: Workspace, gate: Path) -> None:
    snakeval = Command(work)
    work.config["benchmarks"] = {
        "good": generic(GOOD),
        "bad": generic("echo 'ValueError: no such split' >&2; exit 3"),
        "slow": gated(gate),
    }
    head = work.start()
    wait_for(begun(work, "m/slow"), "the slow one does not begin")
    wait_for(lambda: snakeval.said("m/bad") == "failed", "the bad one does not fail")
    wait_for(lambda: snakeval.said("m/good") == "done", "the good one is not done")
    found = snakeval.states()
    assert found["m/slow"]["state"] == "running"
    assert process_lives(found["m/slow"]["pid"])
    assert "ValueError: no such split" in found["m/bad"]["reason"]
    assert (found["m/good"]["metric"], found["m/good"]["value"]) == ("score", 1)
    said = snakeval("status")
    assert f"Snakemake runs (process {head.pid})" in said.output
    (listed,) = json.loads(snakeval("ls", "runs", "--json").output)
    assert (listed["live"], listed["done"], listed["total"]) == (True, 1, 3)
    gate.touch()
    head.communicate(timeout=HUNG)
    assert snakeval.said("m/slow") == "done"
    said = snakeval("status", work.run.name[20:])
    assert "2 of 3 done, 1 failed; nothing runs" in said.output
    assert "Ends " not in snakeval("kill", work.run.name[20:]).output


def test_after_kill_9_of_everything_status_reports_nothing_as_running(
    work: Workspace, gate: Path
) -> None:
    snakeval = Command(work)
    work.config["benchmarks"] = {"slow": gated(gate)}
    head = work.start()
    wait_for(begun(work, "m/slow"), "it does not begin")
    job = snakeval.states()["m/slow"]["pid"]
    os.kill(head.pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):  # it also ends without its head
        os.kill(job, signal.SIGKILL)
    wait_for(lambda: not process_lives(job), "the job lives")
    assert snakeval.said("m/slow") == "interrupted"
    head.communicate(timeout=HUNG)
    assert "nothing runs; `snakeval resume" in snakeval("status").output
    # Its log is there, and followed into the attempt that resumes it.
    gate.touch()
    assert work.snakemake().exit_code == 0
    said = snakeval("logs", f"{work.run}/m/slow")
    assert "attempt-2.log (1 earlier in" in said.output
    assert re.search(r"ends\nsnakeval: the harness exited with 0 after \d+\.\d s\n$", said.output)


def test_logs_are_followed_live_until_the_evaluation_ends(work: Workspace, gate: Path) -> None:
    snakeval = Command(work)
    work.config["benchmarks"] = {"slow": gated(gate)}
    head = work.start()
    wait_for(lambda: work.runs and (work.run / "m/slow").exists(), "no run")
    wait_for(lambda: (work.run / ".snakeval/plan.json").exists(), "no plan")
    followers = [
        snakeval.start("logs", "-f", name) for name in (f"{work.run}/m/slow", str(work.run))
    ]
    watcher = snakeval.start("status", "--watch", str(work.run))
    told = [until(*wanted) for wanted in ((followers[0], "begins"), (watcher, "m/slow running"))]
    gate.touch()
    head.communicate(timeout=HUNG)
    evaluation, run = (follower.communicate(timeout=HUNG)[0] for follower in followers)
    assert (told[0] + evaluation).count("begins\nends\n") == 1
    assert evaluation.endswith("m/slow: done: score 1.0000\n")
    assert "m/slow" in run
    assert watcher.communicate(timeout=HUNG)[0].endswith("1 of 1 done\n")
    assert [each.returncode for each in (*followers, watcher)] == [0, 0, 0]


def until(process: subprocess.Popen[str], word: str) -> str:
    """What it prints until a line has the word."""
    said = ""
    while word not in said:
        assert process.stdout
        line = process.stdout.readline()
        assert line, said
        said += line
    return said


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_killed_run_leaves_nothing_and_is_resumed(
    work: Workspace, tmp_path: Path, runtime: str
) -> None:
    snakeval, gate = Command(work), tmp_path / "shared/gate"
    gate.parent.mkdir()
    work.config["runtime"] = runtime
    work.config["benchmarks"] = {"good": generic(GOOD), "slow": gated(gate)}
    for benchmark in work.config["benchmarks"].values():
        if runtime != "process":
            mount = {"source": str(gate.parent), "target": str(gate.parent)}
            benchmark |= {"image": IMAGE, "mounts": [mount]}
    head = work.start()
    wait_for(begun(work, "m/slow"), "the slow one does not begin")
    wait_for(lambda: snakeval.said("m/good") == "done", "the good one is not done")
    found = snakeval.states()["m/slow"]
    assert found["runtime"] == runtime
    assert bool(found["container"]) == (runtime != "process")
    seen = [*containers(work.run, names(found), servers=False, silent=set())]
    assert len(seen) == (runtime != "process"), "what is looked for afterwards is found before"
    killed = snakeval("kill", work.run.name[20:])
    assert killed.exit_code == 0, killed.output
    assert "stopped, 1 of 2 done; `snakeval resume" in killed.output
    head.communicate(timeout=HUNG)
    assert not process_lives(found["pid"])
    assert not [*containers(work.run, names(found), servers=False, silent=set())]
    assert snakeval.said("m/slow") == "interrupted"
    assert "nothing to stop" in snakeval("kill", str(work.run)).output
    gate.touch()
    again = work.snakemake()
    assert (again.exit_code, again.evaluated) == (0, {"m/slow"}), again.output
    assert snakeval.said("m/slow") == "done"


def names(state: dict[str, Any]) -> dict[str, str]:
    return {state["container"]: "m/slow"}


def test_one_killed_evaluation_is_interrupted_and_the_others_finish(
    work: Workspace, gate: Path
) -> None:
    snakeval = Command(work)
    work.config["benchmarks"] = {"one": gated(gate), "other": gated(gate)}
    head = work.start()
    wait_for(begun(work, "m/one", "m/other"), "they do not begin")
    killed = snakeval("kill", f"{work.run}/m/one")
    assert killed.exit_code == 0, killed.output
    found = snakeval.states()
    assert (found["m/one"]["state"], found["m/other"]["state"]) == ("interrupted", "running")
    assert head.poll() is None
    gate.touch()
    head.communicate(timeout=HUNG)
    assert head.returncode == 1
    found = snakeval.states()
    assert (found["m/one"]["state"], found["m/other"]["state"]) == ("interrupted", "done")
    again = work.snakemake()
    assert (again.exit_code, again.evaluated) == (0, {"m/one"}), again.output


# --- models that we serve -----------------------------------------------------------------------


def test_a_model_deploys_then_its_evaluations_run_and_kill_ends_its_server(
    tmp_path: Path,
) -> None:
    served = Served(tmp_path, "process", "careful")
    work, snakeval = served.work, Command(served.work)
    loads = f"while [ ! -e {tmp_path}/loaded ]; do sleep 0.1; done; "
    served.deployment["command"] = loads + served.deployment["command"]
    served.asks("slow", seed=1, stays_at=2)
    head = work.start()
    wait_for(lambda: served.named("snakeval.serving.supervisor"), "no pool")
    wait_for(lambda: snakeval.said("careful/slow") == "deploying", "it is not deployed")
    (tmp_path / "loaded").touch()
    wait_for(lambda: snakeval.said("careful/slow") == "running", "it does not run")
    server_log = snakeval("logs", f"{work.run}/careful").output
    assert "deployment/deploy.log <==" in server_log
    assert "server-1.log <==\nServing careful at" in server_log
    killed = snakeval("kill", str(work.run))
    assert killed.exit_code == 0, killed.output
    assert not [left for left in served.left() if "supervisor" not in left]
    head.communicate(timeout=HUNG)
    served.nothing_is_left()
    assert snakeval.said("careful/slow") == "interrupted"


def test_kill_keeps_a_server_that_another_run_uses(tmp_path: Path) -> None:
    served = Served(tmp_path, "process", "careful")
    work, snakeval = served.work, Command(served.work)
    served.asks("slow", seed=1, stays_at=2)
    first = work.start()
    wait_for(lambda: served.recorded.answers, "no answers")
    one = work.run
    second = work.start("--config", "run=new")
    wait_for(lambda: len(work.runs) == 2, "no second run")
    (other,) = set(work.runs) - {one}
    wait_for(lambda: snakeval.said("careful/slow", other) == "running", "it does not run")
    killed = snakeval("kill", str(one))
    assert killed.exit_code == 0, killed.output
    first.communicate(timeout=HUNG)
    assert snakeval.states(one)["careful/slow"]["state"] == "interrupted"
    assert snakeval.states(other)["careful/slow"]["state"] == "running"
    served.go()
    output, _ = second.communicate(timeout=HUNG)
    assert second.returncode == 0, output
    assert served.recorded.loads == {"careful": 1}
    served.nothing_is_left()


@pytest.mark.parametrize("runtime", [pytest.param("docker", marks=pytest.mark.images), "process"])
def test_kill_also_ends_servers_whose_pool_is_gone(tmp_path: Path, runtime: str) -> None:
    served = Served(tmp_path, runtime, "careful")
    snakeval = Command(served.work)
    served.asks("slow", seed=1, stays_at=2)
    head = served.work.start()
    wait_for(lambda: served.recorded.answers, "no answers")
    for process in [*served.named("snakeval.serving.supervisor"), *served.named("--snakefile")[:1]]:
        kill_9(process)
    killed = snakeval("kill", str(served.work.run))
    assert killed.exit_code == 0, killed.output
    assert not [left for left in served.left() if "supervisor" not in left]
    head.communicate(timeout=HUNG)
    served.nothing_is_left()  # a job may have started another pool, which ends by itself
