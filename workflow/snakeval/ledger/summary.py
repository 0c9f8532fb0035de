"""Files that a gateway writes while it lives: the summary and the heartbeat."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

from snakeval.ledger.start_time import start_time

#: Seconds between two beats, and without one after which a gateway counts as dead.
BEAT, STALE = 1.0, 15.0
#: The length of a beat, which stays the same: the next one overwrites it.
_LENGTH = 512
#: The errors of `flock` on a file system without locks.
WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
#: The exit code of a gateway that could not keep an answer, and therefore did not pass it on.
UNWRITABLE = 3
#: The exit code of a gateway that ended since the run's budget is used up.
USED_UP = 4
_BOOT = Path("/proc/sys/kernel/random/boot_id")
#: Files beside the folders of the models. No model's name ends with the mark.
FILES, _MARK = ("gateway", "summary.json", "asked-again", "stale"), "~"


def folder_of(directory: Path, name: str) -> Path:
    """Return the folder of a model's journal, which is never the place of another file."""
    return directory / (f"{name}{_MARK}" if name in FILES else name)


def name_of(folder: Path) -> str:
    """Return the name of the model that has this folder."""
    return folder.name.removesuffix(_MARK)


def write(path: Path, data: Mapping[str, Any]) -> None:
    """Write JSON; a reader sees either the old or the new text.

    Raises:
        OSError: the disk is full, or the folder does not exist.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(data, separators=(",", ":")), encoding="utf-8")
    draft.replace(path)


class Heartbeat:
    """The file that says that a gateway lives.

    A lock of the kernel says it at once on the same machine, or the process if the file system has
    no locks. Beats say it elsewhere, for example to the next Slurm job on another node.

    Raises:
        BlockingIOError: a gateway of this evaluation lives.
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._beats = path, 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not lock(self._file) and _is_seen(os.pread(self._file, _LENGTH, 0)):
                raise BlockingIOError(errno.EWOULDBLOCK, "another gateway lives", str(path))
            self.beat()
        except OSError:
            os.close(self._file)
            raise

    def beat(self) -> None:
        """Write the next beat in place: a new file would have no lock."""
        self._beats += 1
        owner = {"beat": self._beats, "pid": os.getpid(), "host": socket.gethostname()}
        process = {"start": start_time(os.getpid()), "namespace": _namespace(), "boot": boot()}
        text = json.dumps({**owner, **process, "time": round(time.time(), 1)})
        os.pwrite(self._file, text.ljust(_LENGTH - 1).encode() + b"\n", 0)

    def close(self) -> None:
        """Remove the file, unless it is that of another gateway, which took this one for dead."""
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(self._path.stat(), os.fstat(self._file)):
                self._path.unlink()
        os.close(self._file)


def lock(file: int) -> bool:
    """Lock a file; return whether its file system has locks.

    Raises:
        BlockingIOError: another process has the lock.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        return False
    return True


def boot() -> str:
    """Return the id of this boot of the machine, or an empty text."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def lives(path: Path) -> bytes:
    """Return the beat of a gateway that may live, or nothing if none does.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return b""
    try:
        text = os.pread(file, _LENGTH, 0)
        if not _of_this_boot(text):
            return text or b"?"
        try:
            return b"" if lock(file) or _is_seen(text) is False else text
        except OSError:
            return text
    finally:
        os.close(file)


def lives_here(path: Path) -> int | None:
    """Return the process of the gateway that beats in *path*, if this process can see it.

    Raises:
        OSError: the file cannot be read.
    """
    text = lives(path)
    if not _of_this_boot(text):
        return None
    owner = json.loads(text)
    # The number of a process means nothing in another namespace.
    return int(owner["pid"]) if owner.get("namespace", _namespace()) == _namespace() else None


def _is_seen(text: bytes) -> bool | None:
    """Whether the process that wrote a beat lives; None if this process cannot see it."""
    try:
        owner = json.loads(text)
        pid, start = int(owner["pid"]), str(owner["start"])
        if not _of_this_boot(text) or owner["namespace"] != _namespace():
            return None
        with contextlib.suppress(PermissionError):  # of another user
            os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (ValueError, TypeError, KeyError, OverflowError):
        return None
    # Another process may have the number of one that ended; a hidden one has no start.
    return start_time(pid) in (start, "")


def _namespace() -> str:
    """Return the namespace in which processes have their numbers, or an empty text."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _of_this_boot(text: bytes) -> bool:
    try:
        found = json.loads(text)["boot"]
    except (ValueError, TypeError, KeyError):
        return False
    return bool(found) and found == boot()


def wait_for_end(path: Path, pause: Callable[[float], None], stale: float = STALE) -> bool:
    """Wait until no gateway lives that beats in *path*; return whether one had to be waited for.

    *pause* sleeps so many seconds, and may raise to end the wait.

    Raises:
        OSError: the file cannot be read.
    """
    last, since, waited = b"", time.monotonic(), False
    while True:
        beat = lives(path)
        now = time.monotonic()
        if beat != last:
            last, since = beat, now
        if not beat or now - since > stale:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            return waited
        waited = True
        pause(0.1)
