"""Where the Snakefile and the profiles stand: in a clone, or in what pip installed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import snakeval
from snakeval.errors import ConfigError, did_you_mean

_PACKAGE = Path(snakeval.__file__).resolve().parent
_PROFILE_FILE = re.compile(r"(profile|config)(\.v\d+\+)?\.yaml")
#: Snakemake reads it beside every other, so that it is none to choose.
_DEFAULT = "default"


def _root() -> Path:
    """The directory of the Snakefile, with ``rules/`` and ``profiles/`` beside it."""
    shipped = _PACKAGE / "_workflow"
    return shipped if shipped.is_dir() else _PACKAGE.parents[1]


def snakefile() -> Path:
    """The Snakefile."""
    return _root() / "Snakefile"


def profiles() -> Path:
    """The directory of our profiles, one a directory."""
    return _root() / "profiles"


def user_profiles() -> tuple[Path, ...]:
    """The directories in which Snakemake looks for a profile by its name, the user's own first."""
    own = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    shared = os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    return own / "snakemake", Path(shared.partition(os.pathsep)[0]) / "snakemake"


def find_profile(name: str, directory: Path | None = None) -> str:
    """Return what to give to ``--profile`` for a profile's name, or its path.

    As with Snakemake one in the working directory (*directory*) or among the user's wins, and else
    it is ours.

    Raises:
        ConfigError: there is none; the nearest is offered.
    """
    directory = directory or Path.cwd()
    if is_profile(directory / Path(name).expanduser()):
        return str(Path(name).expanduser())
    known = _named()
    if name in known:
        ours = known[name].parent == profiles()
        return str(known[name]) if ours else name
    hint = did_you_mean(name, known) or f"; there are {', '.join(sorted(known))}, or give a path"
    raise ConfigError(f"--profile {name}: no such profile{hint}")


def profile_names() -> list[str]:
    """The names of profiles that ``--profile`` finds from any directory."""
    return sorted(_named())


def profile_settings(name: str) -> dict[str, Any]:
    """Return what stands in the profile that *name* finds, as Snakemake reads it; raw values.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    known = _named()
    if name not in known:
        raise ConfigError(f"there is no profile {name}; `snakeval profiles install` links ours")
    import yaml

    files = [file for file in known[name].iterdir() if _PROFILE_FILE.fullmatch(file.name)]
    # Snakemake takes one that is for its version first.
    file = max(files, key=lambda each: (".v" in each.name, each.name))
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{file}: cannot be read ({str(error).splitlines()[0]})") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{file}: has no keys")
    return data


def is_profile(path: Path) -> bool:
    """Whether Snakemake could read *path* as a profile."""
    if path.is_dir():
        return any(_PROFILE_FILE.fullmatch(file.name) for file in path.iterdir())
    return path.is_file() and path.suffix in (".yaml", ".yml")


def _named() -> dict[str, Path]:
    """The profiles that a name finds, in the working directory aside."""
    found: dict[str, Path] = {}
    for place in (*user_profiles(), profiles()):
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            if path.is_dir() and is_profile(path) and path.name != _DEFAULT:
                found.setdefault(path.name, path)
    return found
