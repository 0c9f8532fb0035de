"""Leases: of several live heads that want the same files, one submits the job, and others wait.

A lease is a file that a head creates before it looks for a job or submits one, and removes when the
job is collected. A head takes over the lease of a dead process at once. It takes over the lease of
a process that it cannot see, as one on another host, if the file shows no sign of life for a while.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakemake_executor_plugin_lepton.heads import start_time

#: Seconds between two signs of life of a head's leases.
BEAT = 15.0
#: A lease whose holder cannot be seen is free after so many seconds without a sign of life.
SILENT = 90.0
#: The errors of a file system without hard links.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EXDEV, errno.ENOSYS)


@dataclass(slots=True)
class _Seen:
    """A lease as this head saw it last, and since when it has not changed."""

    sign: tuple[str, int]
    since: float


class Leases:
    """The leases of this head. *clock* measures how long another's lease is silent."""

    def __init__(
        self,
        beat: float = BEAT,
        silent: float = SILENT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._id = uuid.uuid4().hex
        self._silent = silent
        self._clock = clock
        self._held: set[Path] = set()
        self._seen: dict[Path, _Seen] = {}
        threading.Thread(target=self._renew, args=(beat,), daemon=True).start()

    def take(self, path: Path) -> str:
        """Take the lease *path*; return nothing, or the name of the head that has it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(100):
            if self._create(path):
                self._held.add(path)
                self._seen.pop(path, None)
                return ""
            try:
                text, renewed = _read(path), path.stat().st_mtime_ns
            except FileNotFoundError:
                continue  # just released
            holder = _parse(text)
            if holder.get("id") == self._id:
                self._held.add(path)
                return ""
            if not self._is_free(path, holder, (text, renewed)):
                return _name(holder)
            self._remove(path, text)
        return "another head"  # others take it all the time

    def holds(self, path: Path) -> bool:
        """Whether this head has the lease. Another one may have taken it over."""
        try:
            return _parse(_read(path)).get("id") == self._id
        except FileNotFoundError:
            return False

    def release(self, path: Path) -> None:
        """Remove the lease, if it is this head's."""
        self._held.discard(path)
        with contextlib.suppress(OSError):  # it becomes silent
            if self.holds(path):
                path.unlink(missing_ok=True)

    def release_all(self) -> None:
        """Remove all leases of this head."""
        for path in list(self._held):
            self.release(path)

    def _create(self, path: Path) -> bool:
        """Create the lease with its whole text; return whether this head did."""
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
        try:
            draft.write_text(json.dumps({"id": self._id, **_me()}), encoding="utf-8")
            os.link(draft, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno in _NO_LINKS:
                return _create_without_links(path, draft)
            if draft.stat().st_nlink < 2:  # NFS may lose the answer to a link that it has made
                raise
        finally:
            draft.unlink(missing_ok=True)
        return True

    def _is_free(self, path: Path, holder: dict[str, Any], sign: tuple[str, int]) -> bool:
        lives = _lives(holder)
        if lives is not None:
            return not lives
        seen = self._seen.get(path)
        if seen is None or seen.sign != sign:
            self._seen[path] = seen = _Seen(sign, self._clock())
        return self._clock() - seen.since > self._silent

    def _remove(self, path: Path, text: str) -> None:
        """Remove the lease of a dead holder, and none that another head has created meanwhile."""
        aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
        try:
            path.rename(aside)
        except FileNotFoundError:
            return
        if _read(aside) != text:
            with contextlib.suppress(OSError):
                os.link(aside, path)
        aside.unlink(missing_ok=True)

    def _renew(self, beat: float) -> None:
        while True:
            time.sleep(beat)
            for path in list(self._held):
                with contextlib.suppress(OSError):
                    if self.holds(path):
                        os.utime(path)


def _me() -> dict[str, Any]:
    pid = os.getpid()
    return {
        "host": socket.gethostname(), "pid": pid, "start": start_time(pid), "boot": _boot(),
        "namespace": _namespace(),
    }  # fmt: skip


def _lives(holder: dict[str, Any]) -> bool | None:
    """Whether the holder's process lives; None if this process cannot see it."""
    if not holder or (holder["boot"], holder["namespace"]) != (_boot(), _namespace()):
        return None
    start = start_time(holder["pid"])
    return start is not None and bool(start == holder["start"])


def _boot() -> str:
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        return socket.gethostname()
    return text.strip()


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _parse(text: str) -> dict[str, Any]:
    """Return a lease's holder, or nothing for a damaged lease."""
    try:
        data = json.loads(text)
        return {**data, "pid": int(data["pid"]), "boot": data["boot"], "start": data["start"],
                "namespace": data["namespace"]}  # fmt: skip
    except (ValueError, TypeError, KeyError):
        return {}


def _name(holder: dict[str, Any]) -> str:
    return f"process {holder['pid']} on {holder['host']}" if holder else "another head"


def _create_without_links(path: Path, draft: Path) -> bool:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(file, "w", encoding="utf-8") as opened:
        opened.write(_read(draft))
    return True
