"""Which files a configuration was composed from that ``snakeval run`` saved for Snakemake."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from snakeval.errors import ConfigError
from snakeval.files import DAMAGE, home, json_value, unwritable, write_if_changed

#: The directory of saved configurations of a dry run that cannot write to snakeval's home.
_ELSEWHERE = "SNAKEVAL_COMPOSED"
_FIRST_LINE = "# Composed by snakeval from: "


def place() -> Path:
    """Return the directory of saved configurations."""
    elsewhere = os.environ.get(_ELSEWHERE)
    return Path(elsewhere) if elsewhere else home().absolute() / "composed"


def save(name: str, text: str, *, dry_run: bool = False) -> Path:
    """Save a configuration; return its file.

    A *dry_run* that cannot write to snakeval's home uses a directory that ends with this process.

    Raises:
        ConfigError: it cannot be written.
    """
    path = place() / name
    try:
        write_if_changed(path, text)
    except OSError as error:
        if dry_run:
            elsewhere = tempfile.mkdtemp(prefix="snakeval-")
            atexit.register(shutil.rmtree, elsewhere, ignore_errors=True)
            os.environ[_ELSEWHERE] = elsewhere
            return save(name, text)
        raise ConfigError(unwritable(error.filename or path, error)) from None
    return path


def names(files: Sequence[Path]) -> str:
    """Return the files of the user behind *files*, as errors name them."""
    here = Path.cwd()
    found = [source for file in files for source in composed_of(file)]
    return " + ".join(str(f.relative_to(here) if f.is_relative_to(here) else f) for f in found)


def header(files: Sequence[str]) -> str:
    """Return the first line of a configuration that was composed from *files*."""
    return f"{_FIRST_LINE}{json.dumps(list(files))}\n" if files else ""


def composed_of(file: Path) -> list[Path]:
    """Return the files that a saved configuration was composed from, or *file* itself."""
    if file.absolute().parent == place():
        with contextlib.suppress(OSError, *DAMAGE), file.open(encoding="utf-8") as opened:
            line = opened.readline()
            if line.startswith(_FIRST_LINE):
                return [Path(str(path)) for path in json_value(line.removeprefix(_FIRST_LINE))]
    return [file]
