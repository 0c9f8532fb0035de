"""Hands a checked configuration from ``snakeval run`` to the Snakemake process that it starts.

The command has loaded and checked the configuration, so Snakemake's process must not do it again.
It inherits an open file without a name that contains the result. A process that finds none, or one
of other files or values, loads the configuration from its files: ``snakemake --configfile``, jobs,
and a head on the cluster always do.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakeval.config.config import Config
from snakeval.config.load import Selection
from snakeval.files import make_directory

#: The file's descriptor and the process that opened it: ``<descriptor>:<pid>``.
_VARIABLE = "SNAKEVAL_CHECKED"


@dataclass(frozen=True)
class Checked:
    """A configuration without errors, and its sources.

    Attributes:
        files: the files of ``--configfile``.
        overrides: the values of ``--config``, as Snakemake reads them.
        selection: what ``--config`` chose; its run is the one that the command claimed.
    """

    files: tuple[Path, ...]
    overrides: Mapping[str, Any]
    config: Config
    selection: Selection

    def is_of(self, files: Sequence[Path], overrides: Mapping[str, Any]) -> bool:
        """Whether *files* and *overrides* are its sources."""
        absolute = [path.absolute() for path in files]
        return absolute == [path.absolute() for path in self.files] and overrides == self.overrides


@dataclass(frozen=True, slots=True)
class Offer:
    """The descriptor that a child process must inherit to take a configuration, if any."""

    descriptors: tuple[int, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the child."""
        environment = dict(os.environ)
        for number in self.descriptors:
            environment[_VARIABLE] = f"{number}:{os.getpid()}"
        return environment


#: For a process that loads its configuration itself.
NOTHING = Offer()


@contextmanager
def offered(checked: Checked) -> Iterator[Offer]:
    """Offer *checked* to the processes that start meanwhile."""
    with tempfile.TemporaryFile() as file:
        pickle.dump(checked, file)
        file.flush()
        file.seek(0)
        yield Offer((file.fileno(),))


def take(files: Sequence[Path], overrides: Mapping[str, Any]) -> Checked | None:
    """Return the configuration that the parent of this process checked, if it is of *files*.

    Takes the offer away, so that no process started later finds it.
    """
    number, _, parent = os.environ.pop(_VARIABLE, "").partition(":")
    if not number.isdigit() or parent != str(os.getppid()):
        return None  # none, or inherited from an ancestor, and the descriptor is another file's
    with os.fdopen(int(number), "rb") as file:
        checked: Checked = pickle.load(file)
    return checked if checked.is_of(files, overrides) else None


def detach(argv: Sequence[str], log: Path, offer: Offer = NOTHING) -> subprocess.Popen[bytes]:
    """Start a command, such as Snakemake, in its own session, with its output in *log*.

    Its processes hold no terminal and no pipe of this process.
    """
    make_directory(log.parent)
    with open(log, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as output:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=offer.descriptors,
            env=offer.environment,
        )
