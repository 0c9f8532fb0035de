"""Finds the configuration of a working directory where none is named."""

from __future__ import annotations

from pathlib import Path

from snakeval.config.yaml_file import read
from snakeval.errors import ConfigError

#: The names of a configuration. Other workflows also have a ``config/config.yaml``.
NAMES = ("evaluation.yaml", "snakeval.yaml")
SHARED = Path("config/config.yaml")


def usual(directory: Path = Path()) -> Path | None:
    """Return the configuration of *directory*; None if it has none.

    ``evaluation.yaml``, else ``snakeval.yaml``, else ``config/config.yaml`` if that has ``models``
    and ``benchmarks``.
    """
    for name in NAMES:
        if (path := directory / name).is_file():
            return path
    path = directory / SHARED
    if not path.is_file():
        return None
    try:
        data = read(path, checked=False)
    except ConfigError:
        return path  # its reader says what is wrong
    return path if {"models", "benchmarks"} <= data.keys() else None
