"""Describes how a Slurm job ended, for people."""

from __future__ import annotations

import re
from pathlib import Path

from snakemake_executor_plugin_slurm_resume.notes import SlurmJob
from snakemake_executor_plugin_slurm_resume.states import CLOSED, VANISHED, Seen, base, clock

_LOG_LINES = 8


def failure(seen: Seen, known: SlurmJob) -> str:
    """Describe how and where a job ended."""
    where = f" on {known.node}" if known.node else ""
    after = f" after {clock(seen.elapsed)}"
    limit = f" of {clock(seen.limit)}" if seen.limit else ""
    canceller = re.search(r"by (\d+)", seen.state)
    how = {
        "TIMEOUT": f"reached its time limit{limit}",
        CLOSED: f"closed itself before its time limit{limit}",
        "PREEMPTED": "was preempted",
        "NODE_FAIL": "lost its node",
        "BOOT_FAIL": "lost its node, which did not boot",
        "OUT_OF_MEMORY": "ran out of memory; increase mem_mb",
        "CANCELLED": "was cancelled" + (f" by uid {canceller[1]}" if canceller else ""),
        "DEADLINE": "missed its deadline",
        VANISHED: "is unknown to Slurm, and its outputs are missing",
    }.get(base(seen.state), "failed")
    code = f", exit code {seen.exit_code}" if seen.exit_code else ""
    if base(seen.state) == VANISHED:
        return f"Slurm job {seen.id}{where} {how}"
    word = "FAILED" if base(seen.state) == CLOSED else base(seen.state)
    return f"Slurm job {seen.id}{where} {how}{after} ({word}{code})"


def log_end(log: Path) -> str:
    """Return the last lines of a log, each on an indented line."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 4096))
            lines = file.read().decode(errors="replace").rstrip().splitlines()[-_LOG_LINES:]
    except OSError:
        return ""
    return "".join(f"\n    {line}" for line in lines)
