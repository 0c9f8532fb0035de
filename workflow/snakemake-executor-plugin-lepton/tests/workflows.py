"""Workflows that run on a stand-in of the service as a person would run them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest

from standin import StandIn

try:
    # In snakeval's repository a head is a fork of a process that has imported Snakemake.
    from support.forks import Process
except ImportError:
    from subprocess import Popen as Process


#: Seconds after which a test says that something hangs; no test passes by it.
HUNG = float(os.environ.get("SNAKEVAL_TESTS_HUNG") or 1800)
#: Without it, a head waits up to a second for a timer of Snakemake before it ends.
NO_RATE_LIMIT = """
onstart:
    workflow.scheduler.job_rate_limiter = None
"""


@dataclass
class Workflow:
    """A working directory with a Snakefile."""

    directory: Path
    lepton: StandIn
    env: dict[str, str] = field(default_factory=dict)

    def write(self, snakefile: str) -> Workflow:
        (self.directory / "Snakefile").write_text(snakefile + NO_RATE_LIMIT)
        return self

    def start(self, *options: str, output: IO[str] | None = None) -> subprocess.Popen[str]:
        words = [
            sys.executable, "-m", "snakemake", "--executor", "lepton", "--jobs", "16",
            # Ten polls a second: the plugin's shortest pause.
            "--seconds-between-status-checks", "0", "--max-status-checks-per-second", "100",
            # The other scheduler starts a solver whenever jobs are ready.
            "--scheduler", "greedy", "--lepton-image", "any/image", "--nocolor", *options,
        ]  # fmt: skip
        env = {**os.environ, **self.lepton.environment, **self.env}
        return Process(
            words, cwd=self.directory, env=env, stdin=subprocess.DEVNULL, text=True,
            stdout=output or subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def run(self, *options: str, timeout: float = HUNG) -> Run:
        head = self.start(*options)
        try:
            output, _ = head.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(head.pid, signal.SIGKILL)
            output, _ = head.communicate()
            pytest.fail(f"did not end within {timeout} s:\n{output}")
        return Run(head.returncode, output)

    def unlock(self) -> None:
        words = [sys.executable, "-m", "snakemake", "--unlock"]
        process = Process(words, cwd=self.directory, stdout=subprocess.PIPE, text=True)
        output, _ = process.communicate(timeout=HUNG)
        assert process.returncode == 0, output

    def read(self, path: str) -> str:
        return (self.directory / path).read_text()


@dataclass(frozen=True)
class Run:
    """How a run ended."""

    code: int
    output: str


def until(holds: Callable[[], bool], what: str, timeout: float = HUNG) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.05)


def ctrl_c(head: subprocess.Popen[str]) -> str:
    """Press it, wait for the end, and return what the head printed."""
    os.killpg(head.pid, signal.SIGINT)
    try:
        output, _ = head.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        # Snakemake 9.27 overlooks one that comes while it writes a line of its log.
        os.killpg(head.pid, signal.SIGINT)
        output, _ = head.communicate(timeout=HUNG)
    return output or ""
