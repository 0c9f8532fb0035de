"""The files of a journal that came whole from another run, which paid for their answers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

_NAME = "brought"


def read(directory: Path) -> frozenset[str]:
    """Return the names of these files.

    Raises:
        OSError: the note cannot be read.
    """
    try:
        return frozenset((directory / _NAME).read_text(encoding="utf-8").split())
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()


def note(directory: Path, names: Iterable[str]) -> None:
    """Note the names of all these files, before they come.

    Raises:
        OSError: the note cannot be written.
    """
    (directory / _NAME).write_text("\n".join(names), encoding="utf-8")
