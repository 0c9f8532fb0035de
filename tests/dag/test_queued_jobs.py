"""Jobs that wait in a queue while their configuration is edited: they do what was submitted."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from support import fork_server
from support.command import says, workspace
from support.limits import HUNG
from support.scheduler import profile
from support.served import Served, wait_for
from support.workspace import Workspace

#: Submits the nth job, which waits for the file `go-n`, and passes it no environment but its own.
SUBMIT = """\
job="$1"
echo >> {place}/submitted
go={place}/go-$(wc -l < {place}/submitted)
( until [ -e "$go" ]; do sleep 0.1; done
  exec env -i HOME="$HOME" PATH="$PATH" {passed} bash "$job" ) > "$job.log" 2>&1 < /dev/null &
echo $!
"""


class Queue:
    """A scheduler without an environment, whose jobs start when the test says so."""

    def __init__(self, work: Workspace) -> None:
        self.work = work
        # What a fork must share with the process that it comes from (support/fork_server.py). A
        # process of pytest-xdist has the size of a terminal, which readline sets.
        shared = {
            name: text
            for name, text in os.environ.items()
            if fork_server.READ_AT_START.match(name) or name in ("COLUMNS", "LINES")
        }
        variables = {"SNAKEVAL_HOME": str(work.home)} | shared
        passed = " ".join(shlex.quote(f"{name}={text}") for name, text in variables.items())
        submit = SUBMIT.format(place=work.directory, passed=passed)
        self.options = ("--profile", str(profile(work.directory, submit)))
        (work.directory / "submitted").touch()

    @property
    def _done(self) -> int:
        return len([*self.work.directory.glob("results/*/*/*/evaluation.json")])

    def evaluates(self, *edits: Callable[[Path], Any], options: Sequence[str] = ()) -> str:
        """Start the command; as its jobs wait, edit its configuration before each of them starts.

        The next edit follows once a job has finished an evaluation.
        """
        before = self._done
        head = self.work.start(*self.options, *options)

        def until(condition: Callable[[], bool], what: str) -> None:
            wait_for(lambda: head.poll() is not None or condition(), what)
            assert head.poll() is None or condition(), head.communicate()[0]

        submitted = self.work.directory / "submitted"
        until(lambda: len(submitted.read_bytes()) == len(edits), "not all jobs are submitted")
        for number, edit in enumerate(edits, 1):
            edit(self.work.directory / "config.yaml")
            (self.work.directory / f"go-{number}").touch()
            until(partial(self._has_done, before + number), f"job {number} does not finish")
        output, _ = head.communicate(timeout=HUNG)
        logs = [
            log.read_text()[-3000:] for log in self.work.directory.glob(".snakemake/tmp*/*.log")
        ]
        assert head.returncode == 0, "\n".join([output, *logs])
        return output

    def _has_done(self, number: int) -> bool:
        return self._done >= number


def edited(file: Path) -> None:
    """Type the next experiment into the file: a benchmark less, and another definition."""
    content = yaml.safe_load(file.read_text())
    del content["benchmarks"]["d"]
    content["benchmarks"]["b"]["params"] = {"temperature": 0.5}
    file.write_text(yaml.safe_dump(content))


def broken(file: Path) -> None:
    file.write_text("models: [")


def deleted(file: Path) -> None:
    file.unlink()


def test_each_job_evaluates_what_its_command_planned_in_the_new_run_of_its_command(
    tmp_path: Path,
) -> None:
    work = workspace(tmp_path, b=says(0.1), c=says(0.2), d=says(0.3))
    assert work.snakemake("--config", "benchmarks=b").exit_code == 0
    first = work.run
    output = Queue(work).evaluates(edited, broken, deleted, options=("--config", "run=new"))
    assert "0.3" in output
    (second,) = set(work.runs) - {first}
    assert dict(work.table(second)["value"]) == {"m/b": 0.1, "m/c": 0.2, "m/d": 0.3}


def test_the_jobs_of_a_deployed_model_share_an_allocation_as_it_was_planned(tmp_path: Path) -> None:
    served = Served(tmp_path, "process", "careful")
    for number, name in enumerate("bd"):
        served.asks(name, seed=number)
    Queue(served.work).evaluates(edited)
    assert served.scores() == {"careful/b": 1, "careful/d": 1}
    assert served.recorded.loads == {"careful": 1}
    served.nothing_is_left()
