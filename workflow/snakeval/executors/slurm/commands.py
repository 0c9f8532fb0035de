"""Slurm's commands: submit, ask for, cancel and signal a job."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Sequence

from snakeval.errors import ConfigError
from snakeval.executors.slurm.controller import CONTROLLER

_FAILED = ("FAILED", "CANCELLED", "OUT_OF_MEMORY", "DEADLINE", "VANISHED")
_LOST = ("TIMEOUT", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "CLOSED")
ENDED = frozenset({"COMPLETED", *_FAILED, *_LOST})


def refuses(squeue: subprocess.CompletedProcess[str]) -> bool:
    """Whether squeue failed. An "Invalid job id" only means that Slurm has forgotten all jobs."""
    return squeue.returncode != 0 and "Invalid job id" not in squeue.stderr


def is_live(job: str) -> bool | None:
    """Whether the job of that id waits or runs; None where Slurm does not say."""
    if CONTROLLER.silent:
        return None
    try:
        done = CONTROLLER.call("squeue", "-h", "-t", "all", "-o", "%T", "-j", job)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if refuses(done):
        return None
    return any(line.strip() not in ENDED for line in done.stdout.splitlines())


def submit(script: str) -> str:
    """Hand a batch script to sbatch; return the job's id.

    Raises:
        ConfigError: sbatch refuses it; the message has its words.
    """
    try:
        done = subprocess.run(
            ["sbatch", "--parsable"], input=script, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise ConfigError("there is no sbatch on this machine; log in to the cluster") from None
    except subprocess.TimeoutExpired:
        raise ConfigError("sbatch does not answer; look at `squeue` before you try again") from None
    if done.returncode != 0:
        why = " ".join(done.stderr.split())
        raise ConfigError(f"{why}; correct execution.slurm (account, partition, head_walltime)")
    return done.stdout.strip().partition(";")[0]


def cancel(jobs: Sequence[str], *options: str) -> None:
    """Have Slurm cancel jobs, in one call. Whether it has is to be looked for again."""
    _do("scancel", *options, *jobs)


def terminate(job: str, host: str, pid: int) -> None:
    """Ask one process of a job to end; the rest of the job continues."""
    step = ("--overlap", "--nodes=1", "--ntasks=1", f"--nodelist={host}")
    _do("srun", f"--jobid={job}", *step, "kill", str(pid))


def _do(*command: str) -> None:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        CONTROLLER.call(*command)
