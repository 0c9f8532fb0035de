"""The Snakemake processes of a working directory, and the Slurm jobs that each waits for.

Several Snakemakes may run in one directory (``--nolock``). None of them submits a task that another
one submits now, and none cancels a job that another live one waits for. Each process writes one
file, ``.snakemake/slurm_resume/heads/<id>.json``, and only its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

#: How often a process shows other hosts that it lives, in seconds.
_BEAT_SECONDS = 30.0
#: A process of another host that has not shown it for so long is gone, in seconds.
_GONE_SECONDS = 600.0


class Heads:
    """The processes of a directory; this one is *id*, with *pid* on *host*."""

    def __init__(self, directory: Path, *, host: str = "", pid: int = 0) -> None:
        self._directory = directory
        self.id = uuid.uuid4().hex
        self._host, self._pid = host or socket.gethostname(), pid or os.getpid()
        self._jobs: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._beaten = 0.0

    @property
    def _file(self) -> Path:
        return self._directory / f"{self.id}.json"

    def enter(self) -> None:
        """Show that this process lives, and remove the files of those that are gone."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._write()
        now = self._now()
        for path in self._directory.glob("*.json"):
            if path != self._file and self._read(path, now) is None:
                path.unlink(missing_ok=True)

    def leave(self) -> None:
        """Remove the file of this process, which waits for no job any more."""
        self._file.unlink(missing_ok=True)

    def beat(self) -> None:
        """Show that this process lives, unless it has just done so."""
        if time.monotonic() - self._beaten > _BEAT_SECONDS:
            with contextlib.suppress(OSError):  # the next one may succeed
                self._write()

    def wait_for(self, jobs: Iterable[str]) -> None:
        """Note the jobs that this process waits for."""
        self._jobs = frozenset(jobs)
        self._write()

    def _write(self) -> None:
        with self._lock:
            draft = self._file.with_suffix(f".{uuid.uuid4().hex[:8]}.new")
            me = {"host": self._host, "pid": self._pid, "start": _start(self._pid)}
            draft.write_text(json.dumps(me | {"jobs": sorted(self._jobs)}), encoding="utf-8")
            draft.replace(self._file)
            self._beaten = time.monotonic()

    def others(self, elsewhere: Iterable[Path] = ()) -> dict[str, frozenset[str]]:
        """Return the jobs of each other process that lives, by ``process <pid> on <host>``.

        *elsewhere* are the directories of processes that submit jobs of other working directories.
        """
        with contextlib.suppress(OSError):
            self._write()
        now = self._now()
        found: dict[str, frozenset[str]] = {}
        places = (self._directory, *elsewhere)
        for path in (path for place in places for path in place.glob("*.json")):
            if path != self._file and (other := self._read(path, now)) is not None:
                found[other[0]] = found.get(other[0], frozenset()) | other[1]
        return found

    def is_another(self, id: str) -> bool:
        """Whether *id* is another process, which lives."""
        path = self._directory / f"{Path(id).name}.json"
        return id != self.id and self._read(path, self._now()) is not None

    def _now(self) -> float:
        """Return the time of the file server's clock, by the file of this process."""
        try:
            return self._file.stat().st_mtime
        except OSError:
            return time.time()

    def _read(self, path: Path, now: float) -> tuple[str, frozenset[str]] | None:
        """Return the name and the jobs of a process that lives; None if it is gone."""
        try:
            noted = json.loads(path.read_text(encoding="utf-8"))
            host, pid, jobs = noted["host"], int(noted["pid"]), frozenset(map(str, noted["jobs"]))
            if host == socket.gethostname():
                lives = _start(pid) is not None and _start(pid) == noted["start"]
            else:
                lives = now - path.stat().st_mtime < _GONE_SECONDS
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return (f"process {pid} on {host}", jobs) if lives else None


class Submission:
    """The right to submit a task; one process of a directory has it at a time."""

    def __init__(self, notes: Path, name: str, heads: Heads) -> None:
        self._file, self._heads = notes / f"{name}.submitting", heads

    def take(self) -> bool:
        """Take the right, perhaps of a process that is gone; return whether it was free."""
        try:
            file = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            if self._owner_lives():
                return False
            self._file.unlink(missing_ok=True)
            return self.take()
        with os.fdopen(file, "w", encoding="ascii") as opened:
            opened.write(self._heads.id)
        return True

    def _owner_lives(self) -> bool:
        try:
            owner = self._file.read_text(encoding="ascii")
            age = time.time() - self._file.stat().st_mtime
        except OSError:
            return False
        if not owner:  # it is being written, unless its process died right then
            return age < _BEAT_SECONDS
        return owner == self._heads.id or self._heads.is_another(owner)

    def give_back(self) -> None:
        """Let other processes submit the task."""
        self._file.unlink(missing_ok=True)


def _start(pid: int) -> str | None:
    """Return field 22 of /proc/PID/stat (proc(5)), which identifies a process; None without one."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]
