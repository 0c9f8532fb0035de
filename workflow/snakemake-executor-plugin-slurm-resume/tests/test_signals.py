"""What signals do to a Snakemake and to its Slurm jobs, on a stand-in of Slurm's commands."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.limits import HUNG

from snakemake_executor_plugin_slurm_resume.signals import ids, left

try:
    # In snakeval's repository a head is a fork of a process that has imported Snakemake.
    from support.forks import Process
except ImportError:
    from subprocess import Popen as Process

SNAKEFILE = """
rule all:
    input: "{place}/1.txt", "{place}/2.txt"
rule wait:
    output: "{place}/{{number}}.txt"
    resources: runtime=5, mem_mb=100
    shell: "sleep 1800; touch {{output}}"
"""


def start(place: Path, standin: Any, files: Path | None = None) -> subprocess.Popen[str]:
    """Start a Snakemake in the directory *place*; it makes its *files* there, or elsewhere."""
    place.mkdir(exist_ok=True)
    (place / "Snakefile").write_text(SNAKEFILE.format(place=files or place))
    command = [
        *(sys.executable, "-m", "snakemake", "--executor", "slurm-resume", "--jobs", "10"),
        *("--default-resources", "slurm_account=evals", "--nolock", "--rerun-incomplete"),
        *("--slurm-resume-init-seconds-before-status-checks", "1", "--slurm-resume-direct"),
        *("--scheduler", "greedy"),  # the other one starts a solver whenever jobs are ready
    ]
    return Process(
        command,
        cwd=place,
        env=standin.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + HUNG
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def until_it_waits(place: Path, count: int = 2) -> None:
    heads = place / ".snakemake/slurm_resume/heads"
    until(lambda: any(len(ids_in(file)) == count for file in heads.glob("*.json")))


def ids_in(head: Path) -> list[str]:
    """The Slurm jobs that a Snakemake waits for; their submissions may end in any order."""
    found: list[str] = json.loads(head.read_text())["jobs"]
    return found


@pytest.mark.parametrize(("number", "silent"), [(signal.SIGTERM, False), (signal.SIGHUP, True)])
def test_a_head_that_is_ended_leaves_its_jobs_and_the_next_one_adopts_them(
    tmp_path: Path, standin: Any, number: signal.Signals, silent: bool
) -> None:
    place = tmp_path / "work"
    head = start(place, standin)
    until_it_waits(place)
    if silent:
        standin.is_silent()
    os.kill(head.pid, number)
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode == 1, output
    line = (
        f"{number.name}: Slurm jobs 1, 2 continue. Run the same command to resume, or end them: "
        "scancel 1 2"
    )
    assert output.count(line) == 1, output
    assert "Traceback" not in output
    assert standin.jobs == ["1", "2"]
    assert standin.cancelled == []
    if silent:
        return
    again = start(place, standin)
    until_it_waits(place)
    os.kill(again.pid, signal.SIGTERM)
    output, _ = again.communicate(timeout=HUNG)
    assert output.count("Adopting it") == 2, output
    assert standin.jobs == ["1", "2"]


def test_a_second_ctrl_c_ends_the_cancelling_and_lists_the_jobs_of_a_silent_slurm(
    tmp_path: Path, standin: Any
) -> None:
    place = tmp_path / "work"
    head = start(place, standin)
    until_it_waits(place)
    output = ended_by_two(head, standin)
    assert "Perhaps left in Slurm: Slurm jobs 1, 2; scancel does not answer within" in output
    assert "or end them: scancel 1 2" in output
    assert "Traceback" not in output


def test_a_ctrl_c_during_a_submission_names_the_job_that_slurm_may_have(
    tmp_path: Path, standin: Any
) -> None:
    place = tmp_path / "work"
    standin.is_mute()
    head = start(place, standin)
    until(lambda: standin.jobs == ["1", "2"])
    output = ended_by_two(head, standin, asked="squeue")
    names = "wait_1_.{8},wait_2_.{8}"
    assert re.search(f"or end them: scancel --name {names}", output), output
    assert "Traceback" not in output


def ended_by_two(head: subprocess.Popen[str], standin: Any, asked: str = "scancel") -> str:
    """Silence Slurm, and end *head* by a second Ctrl-C when it *asked*; return its output."""
    standin.is_silent()
    os.killpg(head.pid, signal.SIGINT)
    calls = standin.directory / "asked"
    until(lambda: calls.exists() and asked in calls.read_text())
    os.killpg(head.pid, signal.SIGINT)
    output, _ = head.communicate(timeout=HUNG)
    return output


def test_a_second_head_elsewhere_cancels_only_what_the_first_one_lost(
    tmp_path: Path, standin: Any
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    head = start(first, standin)
    until_it_waits(first)
    for kill_first in (False, True):
        other = start(second, standin, files=first)
        until_it_waits(second)
        if kill_first:
            head.kill()
            head.communicate(timeout=HUNG)
        os.killpg(other.pid, signal.SIGINT)
        output, _ = other.communicate(timeout=HUNG)
        assert output.count("Adopting it") == 2, output
        assert ("continues, since process" in output) is not kill_first, output
        assert standin.jobs == ([] if kill_first else ["1", "2"])


def test_the_line_of_a_signal_lists_the_jobs_and_what_to_do() -> None:
    assert left("SIGTERM", []) == "SIGTERM: no Slurm job is left. Run the same command to resume"
    assert left("SIGHUP", ["7"]).startswith("SIGHUP: Slurm job 7 continues.")
    many = [str(number) for number in range(30)]
    assert ids(many).endswith(", 19 and 10 more")
