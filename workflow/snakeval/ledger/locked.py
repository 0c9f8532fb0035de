"""Locks a file for an append, also where a file system has no locks.

The kernel's lock is the means: it ends with its process, and NFS passes it between nodes. Without
one, a file beside it takes its place, which exactly one process can create. A process that dies in
the few milliseconds leaves that file, and others break it after some seconds.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

from snakeval.ledger.summary import WITHOUT_LOCKS

#: Seconds after which a wait for the lock fails.
PATIENCE = 60.0
#: Seconds without a change after which the file in the place of a lock is broken.
STALE = 15.0
_PAUSE = 0.005


@contextlib.contextmanager
def locked(
    path: Path,
    *,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    lock: Callable[[int, int], None] = fcntl.flock,
) -> Iterator[int]:
    """Open a file to read and append, under a lock that other processes respect.

    The directory of the file must exist.

    Raises:
        OSError: the file cannot be opened, or the lock is not free in time.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        until = clock() + PATIENCE
        while True:
            try:
                lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if clock() > until:
                    raise OSError(errno.ETIMEDOUT, "another process keeps its lock") from None
                pause(_PAUSE)
                continue
            except OSError as error:
                if error.errno not in WITHOUT_LOCKS:
                    raise
                with _instead(path.with_name(f"{path.name}.lock"), pause, clock):
                    yield file
                return
            yield file
            return
    finally:
        os.close(file)


@contextlib.contextmanager
def _instead(
    path: Path, pause: Callable[[float], None], clock: Callable[[], float]
) -> Iterator[None]:
    """Hold a file that only one process can create."""
    mine = uuid.uuid4().hex.encode()
    seen, since, until = b"", clock(), clock() + PATIENCE
    while not _created(path, mine):
        if clock() > until:
            raise OSError(errno.ETIMEDOUT, "another process keeps its lock")
        with contextlib.suppress(FileNotFoundError):
            found = path.read_bytes()
            if found != seen:
                seen, since = found, clock()
            elif clock() - since > STALE:
                _break(path, found)
        pause(_PAUSE)
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            if path.read_bytes() == mine:
                path.unlink()


def _created(path: Path, content: bytes) -> bool:
    """Create a file with its content at once: a link of a whole file, or nothing."""
    draft = path.with_name(f".{path.name}.{content.decode()}")
    draft.write_bytes(content)
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        return _created_empty(path, content)
    finally:
        draft.unlink()
    return True


def _created_empty(path: Path, content: bytes) -> bool:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    with contextlib.closing(os.fdopen(file, "wb")) as opened:
        opened.write(content)
    return True


def _break(path: Path, stale: bytes) -> None:
    """Remove the file of a dead process. Only one of several takers moves it away."""
    away = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with contextlib.suppress(FileNotFoundError):
        path.rename(away)
        if away.read_bytes() != stale:
            # Another process broke the stale one first, and this is the lock of a live one.
            with contextlib.suppress(FileExistsError):
                os.link(away, path)
        away.unlink()
