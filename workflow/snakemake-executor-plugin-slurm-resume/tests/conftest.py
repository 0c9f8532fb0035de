"""A stand-in of Slurm's commands, which keeps jobs in a directory and runs none of them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from snakemake_executor_plugin_slurm_resume import slurm

# Each job is a file, named by its id, that has squeue's row. `silent` makes every command hang,
# and `mute` an sbatch that has submitted.
_COMMANDS = {
    "sbatch": """
        for word; do
            case $before in --job-name) name=$word ;; -D) place=$word ;; esac
            before=$word
        done
        set -C  # never the file of another job
        for number in {1..99}; do
            row="$number|RUNNING|0:01|5:00|n1|N/A|None|$name|$place"
            echo "$row" 2>/dev/null > jobs/$number && break
        done
        while [ -e mute ]; do sleep 0.1; done
        echo "$number" """,
    "squeue": "cat jobs/* 2>/dev/null; true",
    "scancel": """
        echo "$@" >> cancelled
        for number; do rm -f jobs/$number; done""",
    "sacct": "",
    "sacctmgr": "echo evals",
    "sinfo": "",
    "scontrol": "",
}


class StandIn:
    """Slurm's commands in *directory*, and what became of its jobs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "jobs").mkdir(parents=True)
        for name, body in _COMMANDS.items():
            program = directory / name
            program.write_text(
                f"#!/bin/bash\ncd {directory} || exit 1\n"
                f"if [ -e silent ]; then echo {name} >> asked; trap 'exit 1' INT\n"
                f"while [ -e silent ]; do sleep 0.1; done; exit 1; fi\n{body}\n"
            )
            program.chmod(0o755)

    @property
    def jobs(self) -> list[str]:
        """The ids of the jobs in the queue."""
        return sorted(file.name for file in (self.directory / "jobs").iterdir())

    @property
    def cancelled(self) -> list[str]:
        """The arguments of each call of scancel."""
        file = self.directory / "cancelled"
        return file.read_text().splitlines() if file.exists() else []

    def is_silent(self) -> None:
        """Answer no command from now on."""
        (self.directory / "silent").touch()

    def is_mute(self) -> None:
        """Accept jobs from now on, and answer no sbatch."""
        (self.directory / "mute").touch()

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a program that finds these commands."""
        return {**os.environ, "PATH": f"{self.directory}:{os.environ['PATH']}"}


@pytest.fixture
def standin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    made = StandIn(tmp_path / "slurm")
    monkeypatch.setenv("PATH", made.environment["PATH"])
    yield made
    for name in ("silent", "mute"):
        (made.directory / name).unlink(missing_ok=True)


@pytest.fixture(autouse=True)
def no_deadline() -> Iterator[None]:
    """No test ends the others."""
    yield
    slurm.deadline.at = math.inf
