"""Programs that cannot be installed here, on the PATH; see ``tests/testbed/standins``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.limits import HUNG
from support.slurm import cluster

PLACE = Path(__file__).parents[1] / "testbed/standins"


def path() -> str:
    """A PATH on which the stand-ins come first, after the Python that they run on."""
    return os.pathsep.join([str(PLACE), str(Path(sys.executable).parent), os.environ["PATH"]])


def recorded(file: Path) -> list[list[str]]:
    """The command lines that stand-ins were given, in order."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@contextmanager
def allocation(*options: str) -> Iterator[dict[str, str]]:
    """A Slurm job of its own, without a shell; yields what a shell in it would have set.

    The job may last for several tests, and no other test changes the cluster meanwhile.
    """
    with cluster():
        yield from _allocated(*options)


def _allocated(*options: str) -> Iterator[dict[str, str]]:
    # The most that a partition here allows: the tests that share it may together take long.
    asked = ["--no-shell", "--account=evals", "--job-name=snakeval-test", "--time=02:00:00"]
    words = ["salloc", *asked, *options]
    done = subprocess.run(words, capture_output=True, text=True, timeout=HUNG, check=True)
    number = next(w for w in done.stderr.split() if w.isdigit())
    try:
        field = ["squeue", "-h", "-j", number, "-o", "%N"]
        nodes = subprocess.run(
            field, capture_output=True, text=True, timeout=HUNG, check=True
        ).stdout.strip()
        show = ["scontrol", "show", "hostnames", nodes]
        names = subprocess.run(show, capture_output=True, text=True, check=True).stdout.split()
        yield {
            "SLURM_JOB_ID": number,
            # As in a step of one node, which is where Snakemake starts jobs.
            "SLURM_JOB_NODELIST": names[0],
            "SLURM_JOB_NUM_NODES": "1",
            "SLURM_NNODES": "1",
            "SLURMD_NODENAME": names[0],
        }
    finally:
        subprocess.run(["scancel", number], timeout=HUNG, check=True)
