"""An executor that snakeval does not know: a profile of a user's, and two lines of shell."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import yaml

from snakeval.demo.server import DemoServer, serve
from support.workspace import Done, Workspace

SUBMIT = """\
#!/bin/sh
setsid nohup bash "$1" > "$1.log" 2>&1 < /dev/null &
echo $!
"""
CANCEL = """\
#!/bin/sh
for job in "$@"; do kill -TERM -- "-$job"; done
"""


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    for name, text in (("submit", SUBMIT), ("cancel", CANCEL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    settings = {
        "executor": "cluster-generic",
        "cluster-generic-submit-cmd": str(tmp_path / "submit"),
        "cluster-generic-cancel-cmd": str(tmp_path / "cancel"),
        "jobs": 4,
        "seconds-between-status-checks": 1,
        "rerun-incomplete": True,
        "latency-wait": 10,
        "logger": "snakeval",
    }
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile/config.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path / "profile"


def matrix(directory: Path, server: DemoServer) -> Workspace:
    work = Workspace.below(directory, runtime="process")
    url = f"{server.url}/v1/chat/completions"
    work.config["models"] = {
        name: {"endpoint": {"url": url, "model_id": name}} for name in ("careful", "sloppy")
    }
    work.config["benchmarks"] = {"seven": work.ask("seven", "What is 3 + 4?")}
    return work


def evaluated(work: Workspace, profile: Path) -> Done:
    return work.snakemake("--profile", str(profile))


def test_it_evaluates_and_only_what_failed_is_submitted_again(
    tmp_path: Path, profile: Path
) -> None:
    with serve() as server:
        work = matrix(tmp_path, server)
        work.config["benchmarks"]["bad"] = {**work.ask("bad", "?"), "command": "exit 3"}
        done = evaluated(work, profile)
        assert done.exit_code == 1, done.output
        table = work.table()
        assert dict(table["status"]) == {
            "careful/seven": "done", "careful/bad": "failed",
            "sloppy/seven": "done", "sloppy/bad": "failed",
        }  # fmt: skip
        assert table.loc["careful/seven", "value"] == 7
        assert "the harness exited with 3" in table.loc["careful/bad", "reason"]
        again = evaluated(work, profile)
    assert again.evaluated == {"careful/bad", "sloppy/bad"}, again.output
    assert server.stats()["answered"] == 2


def test_jobs_of_a_killed_snakemake_finish_and_nothing_is_asked_twice(
    tmp_path: Path, profile: Path
) -> None:
    with serve(delay=5) as server:
        work = matrix(tmp_path, server)
        head = work.start("--profile", str(profile))
        while server.stats()["requests"] < 2:
            assert head.poll() is None, head.communicate()[0]
            time.sleep(0.1)
        os.kill(head.pid, signal.SIGKILL)
        head.communicate()
        done = evaluated(work, profile)
        assert done.exit_code == 0, done.output
        assert server.stats()["answered"] == 2
    assert set(work.table()["status"]) == {"done"}
