"""Writes the batch script that runs Snakemake itself as a job of the cluster."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from snakeval.matrix.slurm_requests import flags
from snakeval.shell import template


def head_script(
    run: str, command: Sequence[str], cwd: Path, log: Path, asked: Mapping[str, str | int]
) -> str:
    """Return the text of a batch script that runs Snakemake's *command*, again and again."""
    options = {
        "job-name": f"snakeval-head-{run}",
        "output": f"{str(log.parent).replace('%', '%%')}/{log.name}",
        "open-mode": "append",
        "requeue": "",
        "signal": "B:USR1@120",
        **asked,
    }
    return template("head.sh.j2").render(
        run=run, cwd=cwd, command=shlex.join(command), flags=flags(options)
    )
