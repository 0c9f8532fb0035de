"""Jobs that wait in a queue while their configuration is edited: they do what was submitted."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.command import says, workspace
from support.served import Served
from support.workspace import Workspace

#: Submits a job that waits for the file `go`, and passes no environment to it but its own.
SUBMIT = """\
#!/bin/sh
job="$1"
( until [ -e {go} ]; do sleep 0.1; done
  exec env -i HOME="$HOME" PATH="$PATH" {passed} bash "$job" ) > "$job.log" 2>&1 < /dev/null &
echo $!
touch {submitted}
"""


class Queue:
    """A scheduler without an environment, whose jobs start when the test says so."""

    def __init__(self, work: Workspace) -> None:
        self.work = work
        self.go, self.submitted = work.directory / "go", work.directory / "submitted"
        passed = f"SNAKEVAL_HOME={work.home}"
        submit = work.directory / "submit"
        submit.write_text(SUBMIT.format(go=self.go, submitted=self.submitted, passed=passed))
        submit.chmod(0o755)
        profile = work.directory / "profile"
        profile.mkdir()
        settings = {
            "executor": "cluster-generic",
            "cluster-generic-submit-cmd": str(submit),
            "jobs": 4,
            "seconds-between-status-checks": 1,
            "latency-wait": 5,
            "logger": "snakeval",
        }
        (profile / "config.yaml").write_text(yaml.safe_dump(settings))
        self.options = ("--profile", str(profile))

    def evaluates(self, *options: str, meanwhile: Callable[[Path], Any]) -> str:
        """Start the command, edit its configuration as soon as a job waits, and let jobs start."""
        head = self.work.start(*self.options, *options)
        end = time.monotonic() + 60
        while not self.submitted.exists():
            assert head.poll() is None, head.communicate()[0]
            assert time.monotonic() < end
            time.sleep(0.05)
        meanwhile(self.work.directory / "config.yaml")
        self.go.touch()
        output, _ = head.communicate(timeout=200)
        logs = [
            log.read_text()[-3000:] for log in self.work.directory.glob(".snakemake/tmp*/*.log")
        ]
        assert head.returncode == 0, "\n".join([output, *logs])
        return output


def edited(file: Path) -> None:
    """Type the next experiment into the file: a benchmark less, and another definition."""
    content = yaml.safe_load(file.read_text())
    del content["benchmarks"]["d"]
    content["benchmarks"]["b"]["params"] = {"temperature": 0.5}
    file.write_text(yaml.safe_dump(content))


EDITS = {
    "edited": edited,
    "broken": lambda file: file.write_text("models: ["),
    "deleted": lambda file: file.unlink(),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_a_job_evaluates_what_its_command_planned(
    tmp_path: Path, edit: Callable[[Path], Any]
) -> None:
    work = workspace(tmp_path, b=says(0.1), d=says(0.2))
    output = Queue(work).evaluates(meanwhile=edit)
    assert "0.2" in output
    assert dict(work.table()["value"]) == {"m/b": 0.1, "m/d": 0.2}


def test_a_job_without_an_environment_joins_the_new_run_of_its_command(tmp_path: Path) -> None:
    work = workspace(tmp_path, b=says(0.1))
    assert work.snakemake().exit_code == 0
    first = work.run
    Queue(work).evaluates("--config", "run=new", meanwhile=lambda file: None)
    (second,) = set(work.runs) - {first}
    assert dict(work.table(second)["value"]) == {"m/b": 0.1}


def test_the_jobs_of_a_deployed_model_share_an_allocation_as_it_was_planned(tmp_path: Path) -> None:
    served = Served(tmp_path, "process", "careful")
    for number, name in enumerate("bd"):
        served.asks(name, seed=number)
    Queue(served.work).evaluates(meanwhile=edited)
    assert served.scores() == {"careful/b": 1, "careful/d": 1}
    assert served.recorded.loads == {"careful": 1}
    served.nothing_is_left()
