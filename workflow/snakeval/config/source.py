"""Reads configuration files: strict YAML in, one merged mapping out, and which file set which key.

It does not know what the keys mean; :mod:`snakeval.config.config` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from snakeval.config.yaml_file import Loader, as_mapping, read

Key = tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """The merged configuration and where each of its keys was set last."""

    data: dict[str, Any]
    origins: dict[Key, str] = field(default_factory=dict)
    bases: dict[Key, Path] = field(default_factory=dict)
    files: tuple[str, ...] = ()

    def origin(self, key: Sequence[str | int]) -> str:
        """Return the file (or ``--config``) that set *key*, or the nearest key above it.

        All files where none did, as for a key that is missing.
        """
        path = tuple(str(part) for part in key)
        while path and path not in self.origins:
            path = path[:-1]
        return self.origins.get(path) or " + ".join(self.files) or "--config"

    def base(self, key: Sequence[str | int]) -> Path:
        """Return the directory that relative paths under *key* are relative to."""
        path = tuple(str(part) for part in key)
        while path and path not in self.bases:
            path = path[:-1]
        return self.bases.get(path, Path())


Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, as_mapping)


def merge(files: Sequence[Path], overrides: Mapping[str, Any] | None = None) -> Source:
    """Merge files in order, then *overrides* (Snakemake's ``--config``), as Snakemake does.

    Mappings are merged key by key; any other later value replaces the earlier one.
    """
    source = Source({}, files=tuple(str(path) for path in files))
    for path in files:
        _update(source, source.data, read(path), (), str(path), path.absolute().parent)
    _update(source, source.data, overrides or {}, (), "--config", Path.cwd())
    return source


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
