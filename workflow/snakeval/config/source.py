"""Merges configuration files into one mapping, and remembers which file set which key.

:mod:`snakeval.config.config` knows what the keys mean; this module does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snakeval.config.composed import composed_of
from snakeval.config.yaml_file import read

Key = tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """A merged configuration.

    Attributes:
        data: the merged mapping.
        origins: key -> the file (or ``--config``) that set it last.
        bases: key -> the directory that its relative paths start at.
        files: the files, in the order of merging.
    """

    data: dict[str, Any]
    origins: dict[Key, str] = field(default_factory=dict)
    bases: dict[Key, Path] = field(default_factory=dict)
    files: tuple[str, ...] = ()

    def origin(self, key: Sequence[str | int]) -> str:
        """Return the file (or ``--config``) that set *key*, or the nearest key above it.

        If no file set any of them, as for a missing key, return the names of all files.
        """
        path = tuple(str(part) for part in key)
        while path and path not in self.origins:
            path = path[:-1]
        return self.origins.get(path) or " + ".join(self.files) or "--config"

    def base(self, key: Sequence[str | int]) -> Path:
        """Return the directory at which relative paths under *key* start."""
        path = tuple(str(part) for part in key)
        while path and path not in self.bases:
            path = path[:-1]
        return self.bases.get(path, Path())


def merge(
    files: Sequence[Path],
    overrides: Mapping[str, Any] | None = None,
    *,
    saved: bool = False,
) -> Source:
    """Merge files in order, then *overrides*, as Snakemake does.

    Mappings merge key by key. Any other value replaces the earlier one. A command of snakeval
    *saved* the files, also an earlier version.
    """
    source = Source({}, files=tuple(str(path) for path in files))
    for path in files:
        data = read(path, checked=not saved and composed_of(path) == [path])
        _update(source, source.data, data, (), str(path), path.absolute().parent)
    override(source, overrides or {})
    return source


def named(path: Path, name: str) -> Source:
    """Read the file *path*, which errors call *name*."""
    source = Source({}, files=(name,))
    _update(source, source.data, read(path, name), (), name, path.absolute().parent)
    return source


def of_mapping(data: Mapping[str, Any], name: str) -> Source:
    """Return *data*, which errors call *name*; its paths start in the working directory."""
    source = Source({}, files=(name,))
    _update(source, source.data, data, (), name, Path.cwd())
    return source


def override(source: Source, values: Mapping[str, Any]) -> None:
    """Merge *values* (Snakemake's ``--config``) into *source*."""
    _update(source, source.data, values, (), "--config", Path.cwd())


def _update(
    source: Source,
    target: dict[str, Any],
    layer: Mapping[Any, Any],
    key: Key,
    origin: str,
    base: Path,
) -> None:
    for name, value in layer.items():
        path = (*key, str(name))
        source.origins[path] = origin
        source.bases[path] = base
        if isinstance(value, Mapping):
            below = target.get(name)
            target[name] = dict(below) if isinstance(below, dict) else {}
            _update(source, target[name], value, path, origin, base)
        else:
            target[name] = value
