"""Finds the jobs of evaluations that run on this machine, by their command lines.

A lease names only one job of an evaluation: not those that wait for it, nor one whose lease is
damaged or gone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

#: The modules that are such jobs. Jobs of an earlier release have the second name; see
#: docs/decisions/6-old-formats.md.
_MODULES = (b"snakeval.jobs.evaluate", b"snakeval.evaluate")


def job_processes() -> Iterator[tuple[int, Path]]:
    """Yield the pid of each job, and the directory of its evaluation (Linux)."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            record = _record((place / "cmdline").read_bytes().split(b"\0"))
            if record:
                yield int(place.name), ((place / "cwd").readlink() / record).parent.resolve()
        except OSError:
            continue  # the process ended, or belongs to another user


def _record(words: list[bytes]) -> str:
    """Return the first argument of a job, its record; nothing for another command."""
    for option, module, record in zip(words, words[1:], words[2:], strict=False):
        if option == b"-m" and module in _MODULES:
            return os.fsdecode(record)
    return ""
