"""Checks that Snakemake can keep its files in the working directory."""
# ruff: noqa: PTH100, PTH112, PTH120

from __future__ import annotations

import os

from snakeval.errors import ConfigError

#: The folders in which Snakemake keeps what it knows of jobs. It creates those that do not exist.
_FOLDERS = (".snakemake/metadata", ".snakemake/incomplete")


def require_workplace(*, starts: bool) -> None:
    """Check that Snakemake can work in this directory. A dry run also requires ``.snakemake``.

    Raises:
        ConfigError: Snakemake would end with a traceback.
    """
    if starts:
        places = [_existing(folder) for folder in _FOLDERS]
    else:
        places = [] if os.path.isdir(".snakemake") else ["."]
    for place in places:
        if not os.path.isdir(place) or not os.access(place, os.W_OK | os.X_OK):
            raise ConfigError(
                f"{os.path.abspath(place)}: cannot be written, and Snakemake keeps its files "
                "there; give the command in another directory"
            )


def _existing(path: str) -> str:
    while path and not os.path.lexists(path):
        path = os.path.dirname(path)
    return path or "."
