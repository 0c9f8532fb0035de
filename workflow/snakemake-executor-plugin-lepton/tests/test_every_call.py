"""One fault in a run, at each of its calls in turn: nothing is done twice, and nothing is left.

A fault of a request costs the run nothing, and so do most of those of jobs. Where work is gone with
a job, the run says so, and the same command does that work again, and no other.
``LEPTON_EVERY_CALL=1`` tries each kind of fault at every call; else they share the calls out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from standin import Fault, StandIn
from standin.jobs import ENDED, Job
from standin.workspace import Workspace
from workflows import Workflow

# One look at least sees the first job running.
TWO = """
rule all:
    input: "1", "2"
rule one:
    output: "1"
    shell: "sleep 0.3; echo 1 >{output}"
rule two:
    input: "1"
    output: "2"
    shell: "cat {input} >{output}"
"""
OPTIONS = ("--lepton-request-timeout", "2", "--lepton-patience", "1")
CLEAR = re.compile(
    r"Lepton job smk-\S+: it (completed, but its files did not come back|ended without a receipt"
    r"|has a state that this plugin does not know, for \d+ s)"
)


Befalls = Callable[[StandIn], None]


@dataclass(frozen=True)
class Kind:
    """A kind of fault. If it *loses* work, the run may fail, and the same command completes it."""

    fault: dict[str, Any]
    loses: bool = False
    options: tuple[str, ...] = ()


def _for_two_looks(begin: Callable[[Workspace], None], end: Callable[[Workspace], None]) -> Befalls:
    def befalls(lepton: StandIn) -> None:
        begin(lepton.workspace)
        over = Fault(r"GET /jobs\?", skip=2, befalls=lambda lepton: end(lepton.workspace))
        lepton.faults.add(over)

    return befalls


def _each_job(happens: Callable[[Workspace, Job], None]) -> Befalls:
    def befalls(lepton: StandIn) -> None:
        for job in lepton.alive:
            happens(lepton.workspace, job)

    return befalls


def _preempt(workspace: Workspace, job: Job) -> None:
    if job.state in ("Starting", "Running"):
        workspace.jobs.preempt(job)


def _expire(workspace: Workspace, job: Job) -> None:
    job.archived = job.state in ENDED


def _vanish(workspace: Workspace, job: Job) -> None:
    workspace.jobs.vanish(job)


def _lose_log(workspace: Workspace, job: Job) -> None:
    job.log_lost = True


_unknown = _for_two_looks(lambda ws: ws.jobs.show("Pondering"), lambda ws: ws.jobs.show(None))
_full = _for_two_looks(lambda ws: setattr(ws, "capacity", 0), lambda ws: setattr(ws, "capacity", 8))

REQUESTS = {
    "refused for a second": Kind({"status": 429, "headers": {"Retry-After": "1"}}),
    "an error before the effect": Kind({"status": 500}),
    "an error after the effect": Kind({"status": 500, "when": "after"}),
    "a lost answer": Kind({"when": "drop"}),
    "no answer in time": Kind(
        {"when": "after", "delay": 1.5}, options=("--lepton-request-timeout", "1")
    ),
    "an answer that is not JSON": Kind({"status": 200, "when": "after", "body": "<html>"}),
}
# In an order that brings each to a call where it does something, when they share the calls out.
JOBS = {
    "logs lost": Kind({"befalls": _each_job(_lose_log)}, loses=True),
    "jobs gone with their logs": Kind({"befalls": _each_job(_vanish)}, loses=True),
    "states unknown for too long": Kind(
        {"befalls": _unknown}, loses=True, options=("--lepton-unknown-grace", "0")
    ),
    "no room for more jobs": Kind({"befalls": _full}),
    "states unknown for a while": Kind({"befalls": _unknown}),
    "running jobs preempted": Kind({"befalls": _each_job(_preempt)}),
    "finished jobs expired": Kind({"befalls": _each_job(_expire)}),
}


@pytest.fixture(scope="session")
def calls(tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many calls a run makes in which all goes well."""
    with StandIn("process") as lepton:
        workflow = Workflow(tmp_path_factory.mktemp("none"), lepton).write(TWO)
        assert workflow.run(*OPTIONS).code == 0
        return len(lepton.requests)


@pytest.mark.parametrize("name", [*REQUESTS, *JOBS])
def test_a_fault_at_any_call_reruns_only_lost_jobs_and_leaves_no_job(
    name: str, calls: int, tmp_path: Path
) -> None:
    kinds = REQUESTS if name in REQUESTS else JOBS
    mine = range(calls)
    if os.environ.get("LEPTON_EVERY_CALL") != "1":
        mine = range([*kinds].index(name), calls, len(kinds))
    # Most of a run is waiting; three at a time.
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda number: _faulty(tmp_path, number, kinds[name]), mine))
    assert [problem for problems in found for problem in problems] == []


def _faulty(directory: Path, number: int, kind: Kind) -> list[str]:
    """Return what is wrong with a run that has the fault at that call, or with the next one."""
    place = directory / str(number)
    place.mkdir()
    with StandIn("process") as lepton:
        lepton.faults.add(Fault(".", skip=number, **kind.fault))
        workflow = Workflow(place, lepton).write(TWO)
        runs = [workflow.run(*OPTIONS, *kind.options)]
        if number >= len(lepton.requests):
            return []  # this time it polled less often
        at = lepton.requests[number][1]
        if kind.loses and CLEAR.search(runs[0].output):
            runs.append(workflow.run(*OPTIONS, *kind.options))
        ended = [(job.id, job.starts, job.preempted) for job in lepton.jobs]
        problems = {
            f"exit code {runs[-1].code}": runs[-1].code != 0,
            "a traceback": any("Traceback" in run.output for run in runs),
            "other files": runs[-1].code == 0 and workflow.read("2") != "1\n",
            f"left {[job.id for job in lepton.alive]}": bool(lepton.alive),
            f"started {ended}": len(ended) != 1 + len(runs)
            or any(starts > 1 + preempted for _, starts, preempted in ended),
        }
        told = "\n".join(run.output[-1500:] for run in runs)
        return [f"call {number}, {at}: {what}\n{told}" for what, wrong in problems.items() if wrong]
