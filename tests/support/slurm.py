"""The Slurm of tests/testbed/slurm.sh: its commands, a directory's jobs, and its daemons' ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import NamedTuple

import psutil

from support.bed_lock import BedLock
from support.limits import HUNG
from support.served import wait_for

SCRIPT = Path(__file__).parents[1] / "testbed" / "slurm.sh"
_STATE = Path(os.environ.get("SNAKEVAL_TESTBED") or "/tmp/snakeval-testbed") / "slurm"

CONFIG = _STATE / "etc" / "slurm.conf"
#: Only a test that is alone stops a part of Slurm, or changes what all jobs obey.
cluster = BedLock("slurm")


class Job(NamedTuple):
    """A Slurm job as the accounting has it, once it has ended."""

    number: str
    comment: str
    state: str
    gpus: int


def slurm(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=HUNG, check=True)
    return done.stdout


def ended(directory: Path, count: int) -> list[Job]:
    """The jobs of a working directory that have ended, at least so many.

    The accounting hears of an end late.
    """
    wait_for(lambda: len(_ended(directory)) >= count, f"not {count} jobs have ended")
    return _ended(directory)


def _ended(directory: Path) -> list[Job]:
    fields = "JobID,WorkDir,Comment,State,AllocTRES"
    lines = slurm("sacct", "-X", "-n", "-P", "-S", "now-1hours", "-o", fields).splitlines()
    jobs = []
    for number, place, comment, state, resources in (line.split("|") for line in lines):
        if place == str(directory) and state not in ("PENDING", "RUNNING"):
            gpus = re.search(r"gres/gpu=(\d+)", resources)
            jobs.append(Job(number, comment, state.split()[0], int(gpus[1]) if gpus else 0))
    return jobs


def queue(directory: Path, about: str = "") -> list[str]:
    """The numbers of its jobs that wait or run, and whose names say what they are about."""
    rows = [line.split(" ", 2) for line in slurm("squeue", "-h", "-o", "%A %j %Z").splitlines()]
    return [number for number, name, place in rows if place == str(directory) and about in name]


def node_of(number: str) -> str:
    return slurm("squeue", "-h", "-j", number, "-o", "%N").strip()


def kill_node(node: str, number: str) -> None:
    """End a node's daemon and the processes of its job, as a machine does that loses its power."""
    lost = [psutil.Process(int((_STATE / "run" / f"{node}.pid").read_text()))]
    for process in psutil.process_iter(["name", "cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if process.info["name"] == "slurmstepd" and f"[{number}." in line:
            lost += [process, *process.children(recursive=True)]
    for process in lost:
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended with its parent
            process.send_signal(signal.SIGKILL)


def stop_controller() -> None:
    _stop("slurmctld")


def stop_accounting() -> None:
    _stop("slurmdbd")


def _stop(daemon: str) -> None:
    process = psutil.Process(int((_STATE / "run" / f"{daemon}.pid").read_text()))
    process.terminate()
    process.wait(HUNG)


def mend() -> None:
    """Start what was ended."""
    subprocess.run(["bash", SCRIPT, "start"], check=True, capture_output=True, timeout=HUNG)
