"""One fault in a run, at each of its calls in turn: it ends complete, with nothing left.

``LEPTON_EVERY_CALL=1`` tries each kind of fault at every call; else they share the calls out.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import Workflow
from standin import Fault, StandIn

TWO = """
rule all:
    input: "1", "2"
rule one:
    output: "1"
    shell: "echo 1 >{output}"
rule two:
    input: "1"
    output: "2"
    shell: "cat {input} >{output}"
"""
FAULTS = {
    "refused for a second": {"status": 429, "headers": {"Retry-After": "1"}},
    "an error before the effect": {"status": 500},
    "an error after the effect": {"status": 500, "when": "after"},
    "a lost answer": {"when": "drop"},
    "no answer in time": {"when": "after", "delay": 3},
    "an answer that is not JSON": {"status": 200, "when": "after", "body": "<html>"},
}


def _run(directory: Path, fault: Fault | None) -> tuple[int, str, StandIn]:
    directory.mkdir()
    with StandIn("process") as lepton:
        if fault:
            lepton.faults.add(fault)
        workflow = Workflow(directory, lepton).write(TWO)
        run = workflow.run("--lepton-request-timeout", "2")
        return run.code, run.output, lepton


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_at_any_call_costs_no_job_and_leaves_none(name: str, tmp_path: Path) -> None:
    calls = len(_run(tmp_path / "none", None)[2].requests)
    assert calls >= 12

    def faulty(number: int) -> list[str]:
        fault = Fault(".", skip=number, **FAULTS[name])  # type: ignore[arg-type]
        code, output, lepton = _run(tmp_path / str(number), fault)
        if number >= len(lepton.requests):
            return []  # this time it polled less often
        where = f"call {number}, {lepton.requests[number][1]}"
        problems = []
        if code != 0 or "Traceback" in output:
            problems.append(f"{where}: exit code {code}\n{output[-1500:]}")
        if lepton.alive:
            problems.append(f"{where}: left {[job.id for job in lepton.alive]}")
        if [job.starts for job in lepton.jobs] != [1, 1]:
            problems.append(f"{where}: {[(job.id, job.starts) for job in lepton.jobs]}")
        return problems

    mine = range(calls)
    if not os.environ.get("LEPTON_EVERY_CALL"):
        mine = range([*FAULTS].index(name), calls, len(FAULTS))
    # Most of a run is waiting; two at a time.
    with ThreadPoolExecutor(2) as pool:
        problems = [p for found in pool.map(faulty, mine) for p in found]
    assert problems == []
