"""Records which Snakemake a job belongs to, and whether that process still lives.

Several Snakemakes may run in one working directory (``--nolock``, other configurations). None of
them ends the jobs of another live one, and each adopts the jobs of a dead one.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import uuid
from pathlib import Path


class Heads:
    """The Snakemake processes of a working directory; this process is *id*."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._adopted = directory.with_name("adopted")
        self.id = uuid.uuid4().hex
        directory.mkdir(parents=True, exist_ok=True)
        for other in directory.iterdir():
            if not self.is_another(other.name):
                other.unlink(missing_ok=True)
        self._write()

    def _write(self) -> None:
        me = {"host": socket.gethostname(), "pid": os.getpid(), "start": start_time(os.getpid())}
        (self._directory / self.id).write_text(json.dumps(me), encoding="ascii")

    def leave(self) -> None:
        """Remove the record of this process, which has no jobs any more."""
        with contextlib.suppress(FileNotFoundError):
            (self._directory / self.id).unlink()

    def adopt(self, job: str) -> None:
        """Record that this process continues with a job, whose label names a dead process."""
        self._adopted.mkdir(exist_ok=True)
        draft = self._adopted / f".{job}-{self.id}"
        draft.write_text(self.id, encoding="ascii")
        draft.replace(self._adopted / job)

    def adopted(self) -> list[str]:
        """Return the ids of the jobs that this process continues with."""
        if not self._adopted.is_dir():
            return []
        notes = [note for note in self._adopted.iterdir() if not note.name.startswith(".")]
        return [note.name for note in notes if self.owner(note.name, None) == self.id]

    def forget(self, job: str) -> None:
        """Forget a job that is gone."""
        (self._adopted / job).unlink(missing_ok=True)

    def owner(self, job: str, label: str | None) -> str | None:
        """Return the head that works with a job: the one of its *label*, or a later one."""
        with contextlib.suppress(OSError):
            return (self._adopted / job).read_text(encoding="ascii") or label
        return label

    def is_another(self, head: str | None) -> bool:
        """Whether *head* is another process that lives, or may still run on another host."""
        if not head or head == self.id:
            return False
        try:
            noted = json.loads((self._directory / Path(head).name).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return False
        if noted["host"] != socket.gethostname():
            return True
        start = start_time(int(noted["pid"]))
        return start is not None and bool(start == noted["start"])


def start_time(pid: int) -> str | None:
    """Return a process's start time as the kernel writes it; None if there is no live process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return str(pid) if not Path("/proc/self").exists() and _exists(pid) else None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
