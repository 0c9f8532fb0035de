"""Finds a configuration: of a name, and of a working directory if none is named."""

from __future__ import annotations

from pathlib import Path

from snakeval.config.yaml_file import dangling, is_file_or_link, read
from snakeval.errors import ConfigError, did_you_mean

#: The names of a configuration. Other workflows also have a ``config/config.yaml``.
NAMES = ("evaluation.yaml", "snakeval.yaml")
SHARED = Path("config/config.yaml")


def usual(directory: Path = Path()) -> Path | None:
    """Return the configuration of *directory*; None if it has none.

    ``evaluation.yaml``, else ``snakeval.yaml``, else ``config/config.yaml`` if that has ``models``
    and ``benchmarks``. A link to a missing file counts: its reader reports the link.
    """
    for name in NAMES:
        if is_file_or_link(path := directory / name):
            return path
    path = directory / SHARED
    if not is_file_or_link(path):
        return None
    try:
        data = read(path, checked=False)
    except ConfigError:
        return path  # its reader says what is wrong
    return path if {"models", "benchmarks"} <= data.keys() else None


def find(directory: Path, name: str) -> Path:
    """Return the configuration *name*, with or without its suffix, of *directory*.

    Raises:
        ConfigError: it is not there; the hint has the names that are.
    """
    given = directory / name
    path = given if name.endswith((".yaml", ".yml")) else directory / f"{name}.yaml"
    if path.is_file():
        return path
    if given.is_file():
        return given
    if not directory.is_dir():
        raise ConfigError(f"{directory}: no such directory; check the path")
    if problem := dangling(path):
        raise ConfigError(f"{path}: {problem}")
    files = sorted(file for file in directory.iterdir() if file.suffix in (".yaml", ".yml"))
    # The suffix is in a file's name, and not in that of --config-name.
    names = [file.name if path == given else file.stem for file in files]
    hint = did_you_mean(path.stem, [file.stem for file in files])
    for file, shown in zip(files, names, strict=True):
        hint = hint.replace(repr(file.stem), repr(shown))
    hint = hint or (f"; choose one of {', '.join(names[:10])}" if names else "; add a YAML file")
    raise ConfigError(f"{path}: no such file{hint}")
