"""Finds the Snakefile and the profiles, in a clone or in an installed package."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import snakeval
from snakeval.errors import ConfigError, did_you_mean
from snakeval.files import read_text, yaml_value

_PACKAGE = Path(snakeval.__file__).resolve().parent
#: The directory of an installed package that has the Snakefile, rules and profiles.
SHIPPED = "_workflow"
_PROFILE_FILE = re.compile(r"(profile|config)(\.v\d+\+)?\.yaml")
#: Snakemake reads it with every other profile, and `--profile` never chooses it.
_DEFAULT = "default"


def _root() -> Path:
    """The directory of the Snakefile, with ``rules/`` and ``profiles/`` beside it."""
    shipped = _PACKAGE / SHIPPED
    return shipped if shipped.is_dir() else _PACKAGE.parents[1]


def snakefile() -> Path:
    """The Snakefile."""
    return _root() / "Snakefile"


def profiles() -> Path:
    """The directory of snakeval's profiles; each is a directory."""
    return _root() / "profiles"


def user_profiles() -> tuple[Path, ...]:
    """The directories in which Snakemake looks for a profile by its name, the user's own first."""
    own = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    shared = os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    return own / "snakemake", Path(shared.partition(os.pathsep)[0]) / "snakemake"


def find_profile(name: str, directory: Path | None = None) -> str:
    """Return the value of ``--profile`` for a profile's name, or its path.

    As in Snakemake, a profile in the working directory (*directory*) or of the user wins over
    snakeval's.

    Raises:
        ConfigError: there is none; the message offers the nearest name.
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
    """Return the raw values of the profile *name*, from the file that Snakemake reads.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    known = _named()
    if name not in known:
        raise ConfigError(
            f"there is no profile {name}; `snakeval profiles install` links snakeval's"
        )
    return settings_of(known[name])


def settings_of(profile: Path) -> dict[str, Any]:
    """Return the raw values of a profile, a directory or a file; nothing if it is neither.

    Raises:
        ConfigError: it cannot be read.
    """
    file = profile
    if profile.is_dir():
        files = [each for each in profile.iterdir() if _PROFILE_FILE.fullmatch(each.name)]
        # Snakemake prefers a file for its version.
        file = max(files, key=lambda each: (".v" in each.name, each.name), default=profile)
    if not file.is_file():
        return {}
    try:
        data = yaml_value(read_text(file)) or {}
    except (OSError, ValueError) as error:
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
    """The profiles that a name finds, without those in the working directory."""
    found: dict[str, Path] = {}
    for place in (*user_profiles(), profiles()):
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            if path.is_dir() and is_profile(path) and path.name != _DEFAULT:
                found.setdefault(path.name, path)
    return found
