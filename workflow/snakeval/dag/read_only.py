"""Lets a dry run plan on a file system that it may not write to.

Snakemake expects even of a dry run that the outputs of planned jobs can be written, and it saves an
inventory in ``.snakemake``. The plan of snakeval has its own warning, so both are left out there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from snakemake.jobs import Job
from snakemake.persistence import PersistenceBase


def plan_without_writing(directory: Path) -> None:
    """Let the dry run of this process only read, if it cannot write *directory* or ``.snakemake``.

    *directory* has the outputs of the run, which may not exist yet.
    """
    if directory.exists() and not os.access(directory, os.W_OK):
        _replace(Job, "check_protected_output", _expects_nothing)
    if not os.access(".snakemake/iocache", os.W_OK):
        _replace(PersistenceBase, "save_iocache", _saves_nothing)


def _replace(owner: type, name: str, function: Any) -> None:
    assert callable(getattr(owner, name)), f"Snakemake has no {owner.__name__}.{name}"
    setattr(owner, name, function)


async def _expects_nothing(job: Job) -> None:
    pass


def _saves_nothing(persistence: PersistenceBase) -> None:
    pass
