"""An executor that snakeval does not know: a profile of a user's, and two lines of shell."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from snakeval.demo.server import DemoServer, serve
from support.limits import HUNG
from support.scheduler import profile
from support.served import wait_for
from support.workspace import Workspace

HARNESS_LOG = "results/*/careful/seven/logs/harness.log"

CANCEL = """\
#!/bin/sh
for job in "$@"; do kill -TERM -- "-$job"; done
"""


@pytest.fixture
def options(tmp_path: Path) -> tuple[str, str]:
    cancel = tmp_path / "cancel"
    cancel.write_text(CANCEL)
    cancel.chmod(0o755)
    made = profile(tmp_path, **{"cluster-generic-cancel-cmd": str(cancel)})
    return "--profile", str(made)


def asks(directory: Path, server: DemoServer, **benchmarks: str) -> Workspace:
    """Return a workspace of one model on benchmarks with a question, each after a shell command."""
    work = Workspace.below(directory, runtime="process")
    url = f"{server.url}/v1/chat/completions"
    work.config["models"] = {"careful": {"endpoint": {"url": url, "model_id": "careful"}}}
    work.config["benchmarks"] = {}
    for name, before in benchmarks.items():
        question = work.ask(name, "What is 3 + 4?")
        work.config["benchmarks"][name] = {**question, "command": before + question["command"]}
    return work


def test_it_evaluates_and_only_what_failed_is_submitted_again(
    tmp_path: Path, options: tuple[str, str]
) -> None:
    with serve() as server:
        work = asks(tmp_path, server, seven="", bad="exit 3\n")
        done = work.snakemake(*options)
        assert done.exit_code == 1, done.output
        table = work.table()
        assert dict(table["status"]) == {"careful/seven": "done", "careful/bad": "failed"}
        assert table.loc["careful/seven", "value"] == 7
        assert "the harness exited with 3" in table.loc["careful/bad", "reason"]
        again = work.snakemake(*options)
    assert again.evaluated == {"careful/bad"}, again.output
    assert server.stats()["answered"] == 1


def test_a_job_of_a_killed_snakemake_finishes_and_nothing_is_asked_twice(
    tmp_path: Path, options: tuple[str, str]
) -> None:
    with serve() as server:
        go = tmp_path / "go"
        work = asks(tmp_path, server, seven=f"until [ -e {go} ]; do sleep 0.1; done\n")
        first = work.start(*options)
        wait_for(lambda: [*work.directory.glob(HARNESS_LOG)], "the first job does not evaluate")
        os.kill(first.pid, signal.SIGKILL)
        first.communicate()
        second = work.start(*options)
        events = work.run / "careful/seven/.snakeval/events.jsonl"
        wait_for(lambda: "waits for" in events.read_text(), "the second job does not wait")
        go.touch()
        output, _ = second.communicate(timeout=HUNG)
        assert second.returncode == 0, output
        assert server.stats()["answered"] == 1
    assert set(work.table()["status"]) == {"done"}
