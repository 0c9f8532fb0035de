"""A wheel of snakeval in an environment with exactly the libraries that it requires.

pip installs the wheel. Its libraries are not downloaded: they are links to those of this
environment, for the requirements that the wheel's metadata and its extras name, and for theirs in
turn. No other package of this environment can be imported there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, distribution, packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.limits import HUNG

REPOSITORY = Path(__file__).parents[2]


def build(directory: Path) -> Path:
    """Build the wheel of this repository and return its path."""
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(words, cwd=REPOSITORY, check=True, capture_output=True, timeout=HUNG)
    (wheel,) = directory.glob("*.whl")
    return wheel


@dataclass(frozen=True)
class Environment:
    """A virtual environment and what is installed in it."""

    directory: Path

    @property
    def packages(self) -> Path:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return self.directory / "lib" / version / "site-packages"

    def run(
        self, *words: str, cwd: Path, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run ``python`` with *words*; both streams are in ``stdout``."""
        outside = ("PYTHON", "SNAKEMAKE", "LEPTON_", "VIRTUAL_ENV")
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(outside)}
        return subprocess.run(
            [str(self.directory / "bin/python"), *words],
            cwd=cwd, env={**inherited, **(env or {})}, stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=HUNG, check=False,
        )  # fmt: skip


def install(wheel: Path, directory: Path) -> Environment:
    """Make an environment in *directory* with *wheel* and the libraries that it requires."""
    made = Environment(directory)
    pip = ["-m", "pip", "--python", str(directory / "bin/python"), "install"]
    for words in (
        ["-m", "venv", "--without-pip", str(directory)],
        [*pip, "--quiet", "--no-deps", "--no-index", str(wheel)],
    ):
        subprocess.run([sys.executable, *words], check=True, capture_output=True, timeout=HUNG)
    return _with_libraries(made, ())


def with_extras(bare: Environment, directory: Path, extras: Iterable[str]) -> Environment:
    """Copy an environment, and add the libraries of *extras*.

    Its scripts still name the one that it is copied from; ``python -m`` does not ask them.
    """
    shutil.copytree(bare.directory, directory, symlinks=True)
    return _with_libraries(Environment(directory), extras)


def _with_libraries(made: Environment, extras: Iterable[str]) -> Environment:
    (metadata,) = made.packages.glob("snakeval-*.dist-info")
    _link(_required(Distribution.at(metadata), extras), made.packages)
    return made


def _required(root: Distribution, extras: Iterable[str]) -> set[str]:
    """The names of the distributions that *root* with *extras* requires, and those in turn.

    Raises:
        PackageNotFoundError: this environment lacks one.
    """
    seen: set[tuple[str, str]] = set()
    left = [(root, extra) for extra in ("", *extras)]
    while left:
        one, extra = left.pop()
        for text in one.requires or ():
            wanted = Requirement(text)
            if wanted.marker and not wanted.marker.evaluate({"extra": extra}):
                continue
            for inner in ("", *wanted.extras):
                key = (canonicalize_name(wanted.name), inner)
                if key not in seen:
                    seen.add(key)
                    left.append((distribution(wanted.name), inner))
    return {name for name, _ in seen}


def _link(names: set[str], target: Path) -> None:
    owners = _owners()
    for name in names:
        for file in distribution(name).files or ():
            top = file.parts[0]
            if top == ".." or file.suffix == ".pyc" or top == "__pycache__":
                continue
            # A folder that several distributions share is linked file by file.
            place = target / top
            whole = owners.get(top, {name}) <= names and (place.is_symlink() or not place.exists())
            path = place if whole else target / file
            if not path.is_symlink():
                path.parent.mkdir(parents=True, exist_ok=True)
                source = file.locate().parents[len(file.parts) - 2] if whole else file.locate()
                path.symlink_to(source if len(file.parts) > 1 else file.locate())


@cache
def _owners() -> dict[str, set[str]]:
    """Whose each importable top-level name of this environment is."""
    found = packages_distributions()
    return {top: {canonicalize_name(name) for name in names} for top, names in found.items()}
