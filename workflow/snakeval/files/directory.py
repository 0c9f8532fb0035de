"""The base of the classes that own a directory and know the names of its files."""
# ruff: noqa: PTH112

from __future__ import annotations

import os
from pathlib import Path


class Directory:
    """A directory that a class owns. It holds the path as text, and construction reads nothing."""

    __slots__ = ("_place",)

    def __init__(self, path: Path | str) -> None:
        self._place = os.fspath(path)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._place == self._place

    def __hash__(self) -> int:
        return hash(self._place)

    def __str__(self) -> str:
        """Return the path, as rules and messages begin with it."""
        return self._place

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._place!r})"

    @property
    def path(self) -> Path:
        """The directory's path."""
        return Path(self._place)

    @property
    def exists(self) -> bool:
        """Whether the directory is there."""
        return os.path.isdir(self._place)
