"""Packages with entry points of snakeval, visible to this process as if pip had installed them."""

from __future__ import annotations

import importlib
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from snakeval import executors, plugins
from support.workspace import REPOSITORY

EXAMPLE = REPOSITORY / "docs/examples/snakeval-example"


@contextmanager
def package(
    place: Path, entry_points: Mapping[str, Mapping[str, str]], files: Mapping[str, str], name: str
) -> Iterator[None]:
    """Provide the package *name* 1.0 with *files* and *entry_points*, a mapping for each group."""
    metadata = place / f"{name.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir(parents=True)
    metadata.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [
        line
        for group, entries in entry_points.items()
        for line in (f"[{group}]", *(f"{key} = {value}" for key, value in entries.items()))
    ]
    metadata.joinpath("entry_points.txt").write_text("\n".join(lines) + "\n")
    for file, text in files.items():
        place.joinpath(file).write_text(text)
    with importable(place):
        yield


@contextmanager
def importable(place: Path) -> Iterator[None]:
    """Have what is installed in a directory while the context lasts."""
    before = set(sys.modules)
    sys.path.insert(0, str(place))
    _forget()
    try:
        yield
    finally:
        sys.path.remove(str(place))
        for module in set(sys.modules) - before:
            if str(getattr(sys.modules[module], "__file__", "")).startswith(str(place)):
                del sys.modules[module]
        _forget()


@contextmanager
def example(place: Path) -> Iterator[None]:
    """Provide the package of docs/examples/snakeval-example."""
    shutil.copytree(EXAMPLE / "src", place)
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    with package(place, project["entry-points"], {}, project["name"]):
        yield


def _forget() -> None:
    """Forget which packages were installed, as a new process would."""
    importlib.invalidate_caches()
    plugins.installed.cache_clear()
    plugins._load_installed.cache_clear()
    executors.find.cache_clear()
