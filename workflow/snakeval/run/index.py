"""The index of the runs of this machine, started from any directory.

The index only finds runs: ``$SNAKEVAL_HOME/runs/<run directory's name>.json`` has the path of the
run's directory and the command that started it last. Everything else is in the run's directory.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from snakeval.errors import ConfigError, did_you_mean
from snakeval.evaluation.plain import build
from snakeval.files import home, read_json, write_if_changed
from snakeval.ledger.plain_text import visible
from snakeval.run.directory import RunDirectory

#: How many runs are listed that an ambiguous name fits.
_MOST_CANDIDATES = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """A run as it was started last.

    Attributes:
        id: the invocation id.
        directory: the run's directory, absolute.
        cwd: the working directory of the command, where Snakemake keeps ``.snakemake``.
        command: Snakemake's command line.
        started: the time of the run's first start, by its directory's name.
    """

    id: str
    name: str
    directory: str
    cwd: str
    command: tuple[str, ...]
    snakeval: str

    @property
    def run(self) -> RunDirectory:
        """The run's directory."""
        return RunDirectory(self.directory)

    @property
    def path(self) -> Path:
        """The path of the run's directory."""
        return Path(self.directory)

    @property
    def started(self) -> datetime:
        """When the run was started first, by its directory's name."""
        return self.run.started


def _index() -> Path:
    return home() / "runs"


def remember(entry: Entry) -> None:
    """Put a run into the index, or note how it was started this time, and that it was just now."""
    place = _place(entry)
    write_if_changed(place, json.dumps(asdict(entry), indent=1))
    # By a finer clock than the file system's, whose times of two files may be the same.
    now = time.time_ns()
    os.utime(place, ns=(now, now))


def _place(entry: Entry) -> Path:
    return _index() / f"{entry.path.name}.json"


def last_started(known: Sequence[Entry]) -> Entry:
    """Return which of *known*, all of the index, was started or resumed last."""
    return max(known, key=lambda entry: _place(entry).stat().st_mtime)


def entries(since: timedelta | None = None) -> list[Entry]:
    """Return the runs whose directories are still there, newest first."""
    return [
        entry
        for entry in _listed()
        if (since is None or datetime.now() - entry.started <= since) and entry.path.is_dir()
    ]


def _listed() -> list[Entry]:
    """Every run of the index, newest first."""
    found = []
    for path in _index().glob("*.json"):
        try:
            entry = build(Entry, read_json(str(path)))
            found.append((entry.started, entry.path.name, entry))
        except (OSError, ValueError):
            continue  # of another version, or being written
    return [entry for *_, entry in sorted(found, key=lambda run: run[:2], reverse=True)]


def ids() -> set[str]:
    """Return the ids of all runs that were ever started on this machine."""
    try:
        return {RunDirectory.id_of(path.stem) for path in _index().glob("*.json")}
    except OSError:
        return set()  # another user's home; this user has started nothing there


def dated(run: RunDirectory) -> str:
    """Return a run's name with the time of its first start, for a list of candidates."""
    try:
        return f"{run.name}, started {run.started:%Y-%m-%d %H:%M:%S}"
    except ValueError:  # a name with a day that no calendar has
        return run.name


def find(wanted: str) -> Entry:
    """Return the run that *wanted* names: an id, a directory, or the beginning of an id or name.

    Raises:
        ConfigError: no run has that name (the nearest are offered), or several.
    """
    listed = _listed()
    known = [entry for entry in listed if entry.path.is_dir()]
    if wanted and RunDirectory(wanted).is_run:
        directory = Path(wanted).resolve()
        mine = [entry for entry in known if entry.path == directory]
        return mine[0] if mine else _unlisted(directory)
    fitting = [entry for entry in known if wanted in (entry.id, entry.path.name)] or [
        entry for entry in known if _begins(entry, wanted)
    ]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        candidates = "; ".join(dated(entry.run) for entry in fitting[:_MOST_CANDIDATES])
        more = len(fitting) - _MOST_CANDIDATES
        raise ConfigError(
            f"{wanted}: fits several runs ({candidates}{f'; {more} more' if more > 0 else ''}); "
            "write more of one"
        )
    for entry in listed:
        if wanted and _begins(entry, wanted):
            raise ConfigError(
                f"{wanted}: its directory {entry.directory} is gone; if it was moved, name the "
                "directory where it is now"
            )
    ids = [name for entry in known for name in (entry.id, entry.path.name)]
    hint = did_you_mean(wanted, ids) or (
        "; `snakeval ls runs` lists them" if known else "; none was started on this machine yet"
    )
    raise ConfigError(f"{visible(wanted, plain='')}: no such run{hint}")


def _begins(entry: Entry, wanted: str) -> bool:
    return entry.id.startswith(wanted) or entry.path.name.startswith(wanted)


def _unlisted(directory: Path) -> Entry:
    """A run that was moved here, or made on another machine."""
    id = RunDirectory.id_of(directory.name)
    if not id:
        raise ConfigError(f"{directory}: is no run's directory; name one of `snakeval ls runs`")
    return Entry(id, "", str(directory), str(Path.cwd()), (), "")
