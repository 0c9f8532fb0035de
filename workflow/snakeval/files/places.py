"""Locates snakeval's home, and the scope in which runs share model servers."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """Return the directory of saved configurations, environments and caches.

    The directory is ``$SNAKEVAL_HOME``, by default ``~/.snakeval``.
    """
    return Path(os.environ.get("SNAKEVAL_HOME") or "~/.snakeval").expanduser()


def domain() -> str:
    """Return the name of the scope in which runs share model servers: user, home and Slurm job.

    A Slurm job is a scope of its own, since its servers end with it and no other job has its GPUs.
    """
    return f"{os.getuid()} {home().resolve()} {os.environ.get('SLURM_JOB_ID', '')}"
