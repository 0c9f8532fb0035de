"""Faults while running: a reason for whoever looks, nothing left behind, nothing lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from snakeval.demo.server import DemoServer, serve
from snakeval.processes import process_lives
from support.limits import HUNG
from support.workspace import Workspace

SCORE = {"file": "score.json", "values": {"score": "score"}}
GOOD = "echo '{\"score\": 1}' > {{ results }}/score.json"
NOWHERE = "http://127.0.0.1:1/v1"


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    return Workspace.below(
        tmp_path,
        runtime="process",
        models={"m": {"endpoint": {"url": NOWHERE, "model_id": "m"}}},
        benchmarks={"good": generic(GOOD)},
    )


def generic(command: str) -> dict[str, Any]:
    return {"harness": "generic", "command": command, "metrics": SCORE}


def gated(gate: Path) -> dict[str, Any]:
    """A benchmark that tells its pid and waits until `gate` exists."""
    wait = f"echo $$ > {{{{ results }}}}/pid; while [ ! -e '{gate}' ]; do sleep 0.1; done; {GOOD}"
    return generic(wait)


def wait_for(condition: Callable[[], object], what: str) -> None:
    until = time.monotonic() + HUNG
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.05)


def pid_in(file: Path) -> int:
    """The pid of a process that says it in a file, as a number or in a lease."""
    wait_for(lambda: file.exists() and file.read_text().strip(), f"no {file}")
    text = file.read_text()
    return int(json.loads(text)["pid"]) if text.startswith("{") else int(text)


def harness_and_job(work: Workspace, name: str) -> tuple[int, int]:
    wait_for(lambda: work.runs, "no run")
    place = work.run / name
    wait_for(lambda: [*place.glob("attempts/*/artifacts/pid")], "no harness")
    newest = max(place.glob("attempts/*/artifacts/pid"))
    return pid_in(newest), pid_in(place / ".snakeval/lease")


def test_kill_9_of_snakemake_ends_its_jobs_and_the_same_command_does_the_rest(
    work: Workspace, tmp_path: Path
) -> None:
    work.config["benchmarks"] = {"good": generic(GOOD), "slow": gated(tmp_path / "gate")}
    head = work.start()
    pids = harness_and_job(work, "m/slow")
    wait_for((work.run / "m/good/evaluation.json").exists, "the quick one is not done")
    os.kill(head.pid, signal.SIGKILL)
    for pid in pids:
        wait_for(lambda pid=pid: not process_lives(pid), "a process is left")
    head.communicate(timeout=HUNG)
    (tmp_path / "gate").touch()
    again = work.snakemake()
    assert (again.exit_code, work.table()["attempt"]["m/good"]) == (0, 1), again.output
    assert set(work.table()["status"]) == {"done"}


@pytest.mark.parametrize("victim", ["harness", "job"])
def test_kill_9_of_a_harness_or_of_its_job_fails_that_evaluation_alone(
    work: Workspace, tmp_path: Path, victim: str
) -> None:
    work.config["benchmarks"] = {"slow": gated(tmp_path / "gate"), "good": generic(GOOD)}
    head = work.start()
    harness, job = harness_and_job(work, "m/slow")
    os.kill(harness if victim == "harness" else job, signal.SIGKILL)
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode == 1
    assert "m/slow failed: " in output
    assert "SIGKILL" in output
    assert work.table()["status"]["m/good"] == "done"
    assert work.table()["reason"]["m/slow"]
    wait_for(lambda: not process_lives(harness), "the harness outlives its job")
    (tmp_path / "gate").touch()
    assert work.snakemake().evaluated == {"m/slow"}
    assert set(work.table()["status"]) == {"done"}


def test_ctrl_c_leaves_nothing_running_and_nothing_lost(work: Workspace, tmp_path: Path) -> None:
    work.config["benchmarks"] = {"good": generic(GOOD), "slow": gated(tmp_path / "gate")}
    head = work.start()
    pids = harness_and_job(work, "m/slow")
    wait_for((work.run / "m/good/evaluation.json").exists, "the quick one is not done")
    os.killpg(head.pid, signal.SIGINT)
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode != 0
    assert "Traceback" not in output
    assert not any(process_lives(pid) for pid in pids)
    (tmp_path / "gate").touch()
    again = work.snakemake()
    assert (again.exit_code, work.table()["attempt"]["m/good"]) == (0, 1), again.output


@pytest.fixture
def servers() -> Iterator[dict[str, DemoServer]]:
    with (
        serve(api_key="right") as locked,
        serve(fail_first=10**6, fail_status=429) as busy,
        serve(fail_first=10**6, fail_status=500) as broken,
    ):
        yield {"locked": locked, "busy": busy, "broken": broken}


def test_an_endpoint_that_refuses_is_named_in_the_reason(
    work: Workspace, servers: dict[str, DemoServer]
) -> None:
    urls = {name: f"{server.url}/v1" for name, server in servers.items()} | {"absent": NOWHERE}
    work.config["models"] = {
        name: {"endpoint": {"url": url, "model_id": "careful", "limits": {"patience": 1}}}
        for name, url in urls.items()
    }
    work.config["benchmarks"] = {"good": generic(GOOD), "ask": work.ask("ask", "What is 1 + 1?")}
    work.config["params"] = {"max_retries": 1}
    stopped = work.snakemake()
    assert (stopped.exit_code, stopped.evaluated, work.runs) == (2, set(), []), stopped.output
    for model, where in (("locked", "api_key_name"), ("absent", "url")):
        assert f"config.yaml: models.{model}.endpoint.{where}: " in stopped.output
    assert "warning: models.busy.endpoint.url: the endpoint limits requests" in stopped.output
    done = work.snakemake("--config", "preflight=false")
    assert done.exit_code == 1
    reasons = work.table()["reason"]
    said = {
        "locked": ("the endpoint requires a key", "set endpoint.api_key_name", "HTTP 401"),
        "busy": ("the endpoint limits requests", "raise endpoint.limits.patience", "HTTP 429"),
        "broken": ("the endpoint fails", "HTTP 500, 1 of 1 requests, 2 tries"),
        "absent": ("no connection to", "Connection refused", "check that the server runs"),
    }
    for name, words in said.items():
        assert [word for word in words if word not in reasons[f"{name}/ask"]] == []
    assert "Traceback" not in done.output
    for name in urls:
        assert f"{name}/ask failed: {reasons[f'{name}/ask']}" in done.output
        assert work.table()["status"][f"{name}/good"] == "done"


def test_each_bad_end_of_a_harness_has_its_reason_and_the_others_finish(work: Workspace) -> None:
    bad = {
        "none": ("true", "ended without writing score.json"),
        "garbage": ("echo '{' > {{ results }}/score.json", "score.json does not parse as json"),
        "nan": ("echo '{\"score\": NaN}' > {{ results }}/score.json", "score (score) is nan"),
        "text": ('echo \'{"score": "high"}\' > {{ results }}/score.json', "not a number"),
        "absent": ("no-such-command --now", "exit code 127"),
        "loud": ("echo 'ValueError: no such split' >&2; exit 3", "ValueError: no such split"),
    }
    work.config["ledger"] = "off"  # no harness sends a request
    work.config["benchmarks"] |= {name: generic(command) for name, (command, _) in bad.items()}
    done = work.snakemake()
    assert done.exit_code == 1
    assert "Traceback" not in done.output
    assert "6 of 7 evaluations are not done" in done.output
    table = work.table()
    assert table["status"]["m/good"] == "done"
    for name, (_, reason) in bad.items():
        assert table["status"][f"m/{name}"] == "failed"
        assert reason in table["reason"][f"m/{name}"]
        assert (work.run / f"m/{name}/logs/harness.log").read_text()
        assert (work.run / f"m/{name}/failure.json").exists()


@pytest.mark.root
def test_a_full_disk_is_reported_and_the_same_command_finishes_after_space_is_freed(
    work: Workspace, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], check=True)
    try:
        work.config["output_dir"] = str(disk / "results")
        fill = f"dd if=/dev/zero of={disk}/fill bs=1M 2>&1; {GOOD}"
        work.config["benchmarks"] = {
            "full": generic(f"[ -e '{tmp_path}/room' ] || {{ {fill}; }}; {GOOD}")
        }
        done = work.snakemake()
        assert done.exit_code == 1
        assert "Traceback" not in done.output
        assert "no space left" in done.output.lower()
        (disk / "fill").unlink()
        (tmp_path / "room").touch()
        again = work.snakemake()
        assert (again.exit_code, again.evaluated) == (0, {"m/full"}), again.output
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def test_an_engine_that_does_not_answer_is_reported_in_one_sentence(
    work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    work.config |= {"runtime": "docker"}
    work.config["benchmarks"]["good"]["image"] = "busybox"
    done = work.snakemake()
    assert done.exit_code != 0
    assert "Traceback" not in done.output
    assert "snakeval: no Docker engine answers" in done.output
    assert "start one, or set runtime: process" in done.output


@pytest.mark.docker
def test_the_next_start_finishes_what_an_absent_engine_prevented(
    work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.config |= {"runtime": "docker"}
    work.config["benchmarks"]["good"]["image"] = "snakeval-testbed/busybox:latest"
    with monkeypatch.context() as without:
        without.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        assert work.snakemake().exit_code != 0
    done = work.snakemake()
    assert done.exit_code == 0, done.output
    assert (work.run / "m/good/run.sh").exists()


@pytest.mark.docker
def test_an_image_that_does_not_exist_fails_its_evaluations_alone(work: Workspace) -> None:
    work.config |= {"runtime": "docker"}
    work.config["benchmarks"] = {
        name: {**generic(GOOD), "image": image}
        for name, image in (
            ("good", "snakeval-testbed/busybox:latest"),
            ("absent", "127.0.0.1:1/no/such:image"),
        )
    }
    done = work.snakemake()
    assert done.exit_code == 1
    table = work.table()
    assert table["status"]["m/good"] == "done"
    assert table["reason"]["m/absent"].startswith(
        "image 127.0.0.1:1/no/such:image is not on this machine and cannot be pulled"
    )


def test_an_output_directory_may_have_any_name(work: Workspace) -> None:
    work.config["output_dir"] = 'a b\'c "d" ü'
    done = work.snakemake()
    assert done.exit_code == 0, done.output
    assert list(work.directory.glob('a b\'c "d" ü/*/m/good/evaluation.json'))
    assert work.snakemake().nothing_to_do
