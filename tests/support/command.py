"""The command `snakeval`, run as a person would run it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from support import forks
from support.configs import MODEL
from support.limits import HUNG
from support.workspace import Workspace


def says(value: float, waits_for: Path | None = None) -> dict[str, Any]:
    """Return a benchmark that scores `value`, once a file is there."""
    wait = f"until [ -e {waits_for} ]; do sleep 0.1; done; " if waits_for else ""
    return {
        "harness": "generic",
        "command": f"{wait}echo '{{\"v\": {value}}}' > {{{{ results }}}}/f.json",
        "metrics": {"file": "f.json", "values": {"v": "v"}},
    }


FAILS = says(0) | {"command": "exit 3"}


def workspace(directory: Path, **benchmarks: Any) -> Workspace:
    """Return a workspace of one model on benchmarks that ask it nothing, through no gateway."""
    return Workspace.below(
        directory, name="t", runtime="process", ledger="off", models={"m": MODEL},
        benchmarks=benchmarks,
    )  # fmt: skip


def started(
    work: Workspace, *words: str, cwd: Path | None = None, **more: Any
) -> subprocess.Popen[str]:
    """Start the command, the leader of a process group as in a terminal; write the config first."""
    work.command()
    return forks.Process(
        [sys.executable, "-m", "snakeval", *words],
        cwd=cwd or work.directory,
        env=work.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **more,
    )


def snakeval(
    work: Workspace, *words: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    process = started(work, *words, cwd=cwd)
    out, error = process.communicate(timeout=HUNG)
    return subprocess.CompletedProcess(words, process.returncode, out, error)


def printed_command(error: str) -> list[str]:
    """The command line of Snakemake that was printed, and run."""
    (line,) = (line for line in error.splitlines() if " --snakefile " in line)
    return shlex.split(line)


def evaluated(error: str) -> set[str]:
    """The evaluations that ran, or in a dry run would."""
    return set(re.findall(r"^evaluate  (\S+/\S+)$", error, re.MULTILINE))
