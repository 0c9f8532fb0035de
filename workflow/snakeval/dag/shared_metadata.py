"""Lets two Snakemakes share the metadata of one directory, as ``nolock`` permits."""

from __future__ import annotations

from functools import wraps
from typing import Any

from snakemake.persistence import file


def tolerate_another_snakemake() -> None:
    """Take a mark that another Snakemake removes meanwhile for none.

    A job of both ends in both at once. Snakemake 9.27 looks whether its mark of an unfinished job
    exists, and then reads the mark's time (``_get_recorded_starttime``). If the other process
    removes it in between, Snakemake would end with an error, although all is done.
    """
    metadata: Any = file.FilePersistence
    found = metadata._get_recorded_starttime
    if hasattr(found, "__wrapped__"):
        return

    @wraps(found)
    def starttime(self: Any, key: str) -> float | None:
        try:
            time: float | None = found(self, key)
        except FileNotFoundError:
            time = None
        return time

    metadata._get_recorded_starttime = starttime
