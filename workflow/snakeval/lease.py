"""The attempt lease, which allows one live attempt at an evaluation across all hosts.

A lease is a file and works on NFS without locks. The process that creates the file holds the lease.
The holder proves that it lives by changing a counter, so snakeval never compares clocks of
different hosts. A lease cannot stop a process that was suspended, so its ``id`` is a fencing token:
the holder checks with :meth:`Lease.check` that the lease is still its own before it publishes.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

from snakeval.files import (
    NotAFileError,
    create_exclusively,
    discard,
    json_value,
    read_bytes,
    set_aside,
)
from snakeval.processes import ProcessIdentity

HEARTBEAT_SECONDS = 5.0
STALE_SECONDS = 45.0
#: The length of a lease's text, which stays the same: a renewal overwrites it in place.
_LENGTH = 512


class LeaseLost(Exception):
    """Another attempt may hold the lease, so this process must not publish anything."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a lease.

    ``renewed`` is the modification time of the lease's file, by the file server's clock.
    """

    id: str
    host: str
    pid: int
    start: str
    beat: int
    renewed: float = 0.0
    boot: str = ""
    namespace: str = ""

    @classmethod
    def read(cls, text: str | bytes, renewed: float = 0.0) -> Holder:
        """Read a lease.

        Raises:
            ValueError: *text* is not a lease.
        """
        data = json_value(text if isinstance(text, bytes) else text.encode())
        try:
            start, beat = str(data["start"] or ""), data["beat"]
            where = (str(data.get("boot") or ""), str(data.get("namespace") or ""))
            found = cls(
                str(data["id"]), str(data["host"]), int(data["pid"]), start, beat, renewed, *where
            )
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"not a lease: {error!r}") from None
        if found.pid <= 0:
            raise ValueError("not a lease: no process has its pid")
        return found

    @property
    def process(self) -> ProcessIdentity:
        """The identity of the holder's process."""
        return ProcessIdentity(self.host, self.pid, self.start, self.boot, self.namespace)

    @property
    def lives(self) -> bool | None:
        """Whether the holder's process lives; None if this process cannot see it."""
        return self.process.lives


def _holder(content: bytes) -> str:
    try:
        holder = Holder.read(content)
    except ValueError:
        return "another attempt"
    return f"process {holder.pid} on {holder.host}"


def _awake() -> float:
    """Return a clock that also counts while the machine is suspended."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Lease:
    """A context manager that waits for a live holder, and then holds the lease *path*.

    While it waits, it calls *waiting* once with the holder's name. The wait ends when *done*
    returns true, because the holder has finished the work; ``acquired`` is then false. It calls
    *lost* if another attempt takes the lease over, and if this process was suspended for so long
    that another one may have done so.

    A waiter counts only the time in which it could look at the lease: a file server that stalls
    for both of them makes no holder stale. *clock* measures waits, and *awake* suspensions.

    The lease contains *note*, in which other processes read what the holder is about.
    """

    def __init__(
        self,
        path: Path,
        *,
        done: Callable[[], bool] = lambda: False,
        lost: Callable[[], None] = lambda: None,
        waiting: Callable[[str], None] = lambda holder: None,
        heartbeat: float = HEARTBEAT_SECONDS,
        stale: float = STALE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        awake: Callable[[], float] = _awake,
        note: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.path = path
        self.id = uuid.uuid4().hex
        self.acquired = False
        self.is_lost = False
        self._done, self._on_loss, self._waiting = done, lost, waiting
        self._heartbeat, self._stale = heartbeat, stale
        self._clock, self._awake = clock, awake
        self._me: dict[str, Any] = {
            **note,
            "id": self.id,
            **asdict(ProcessIdentity.of(os.getpid())),
        }
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        seen: bytes | None = None
        unchanged, told = 0.0, False
        pause = min(1.0, self._heartbeat)
        while not self._done():
            begun = self._clock()
            if create_exclusively(self.path, self._text(0)):
                self.acquired = True
                self._thread = threading.Thread(target=self._renew, daemon=True)
                self._thread.start()
                break
            try:
                current = read_bytes(self.path)
            except NotAFileError:
                discard(self.path, "no file")
                continue
            if current is None:
                if self.path.is_symlink():
                    discard(self.path, "a link to nothing")
                continue
            if current != seen:
                seen, unchanged = current, 0.0
            if _is_dead(current) or unchanged > self._stale:
                self._take_over(current)
                continue
            if not told:
                self._waiting(_holder(current))
                told = True
            time.sleep(pause)
            # Not more, if a look took longer: the holder could not renew the lease either.
            unchanged += min(self._clock() - begun, 2 * pause)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self.acquired:
            with contextlib.suppress(OSError):  # it becomes stale
                if self._is_mine():
                    self.path.unlink(missing_ok=True)

    def check(self) -> None:
        """Make sure that the lease is still held.

        Raises:
            LeaseLost: another attempt has it, or may have it.
            OSError: it cannot be read.
        """
        if self.is_lost or not self._is_mine():
            raise LeaseLost(f"another attempt has taken {self.path} over")

    def tell(self, **note: str) -> None:
        """Add *note* to what the lease contains.

        Raises:
            LeaseLost: another attempt has it.
            OSError: it cannot be written.
        """
        self._me |= note
        if not self._beat(0):
            raise LeaseLost(f"another process has taken {self.path} over")

    def _text(self, beat: int) -> str:
        return json.dumps({**self._me, "beat": beat}).ljust(_LENGTH)

    def _is_mine(self) -> bool:
        return self._has_my_id(read_bytes(self.path))

    def _has_my_id(self, content: bytes | None) -> bool:
        return content is not None and f'"{self.id}"'.encode() in content

    def _take_over(self, stale: bytes) -> None:
        """Remove a dead holder's lease; a second lease keeps other takers from a new one."""
        taker = Lease(
            self.path.with_name(f"{self.path.name}.taker"),
            done=self._done,
            heartbeat=self._heartbeat,
            stale=self._stale,
            clock=self._clock,
        )
        with taker:
            if taker.acquired and read_bytes(self.path) == stale:
                with contextlib.suppress(ValueError):
                    Holder.read(stale)
                    self.path.unlink(missing_ok=True)
                    return
                set_aside(self.path, "no lease")
                self.path.unlink(missing_ok=True)

    def _lose(self) -> None:
        self.is_lost = True
        self._on_loss()

    def _renew(self) -> None:
        """Change the counter at each heartbeat until the context ends or the lease is lost."""
        beat, looked = 0, self._awake()
        while not self._stop.wait(self._heartbeat):
            if self._awake() - looked > self._heartbeat + self._stale:
                # Suspended. Another attempt may run, so the harness of this attempt stops first.
                self._lose()
                return
            beat += 1
            # A slow server or a full disk raises an error, and the next beat may succeed.
            with contextlib.suppress(OSError):
                if not self._beat(beat):
                    self._lose()
                    return
            looked = self._awake()

    def _beat(self, beat: int) -> bool:
        """Renew the lease in place; return whether it is this holder's.

        A renewal in place needs no room on a full disk, and cannot replace the lease of a process
        that took this one over meanwhile, which is another file.
        """
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            if not self._has_my_id(os.read(file, 2 * _LENGTH)):
                return False
            os.pwrite(file, self._text(beat).encode(), 0)
            os.fsync(file)
        finally:
            os.close(file)
        return True


def _is_dead(content: bytes) -> bool:
    """Return whether the holder is a process that this one can see is dead; saves the wait.

    A damaged lease has no visible holder. Another attempt replaces it after its stale time.
    """
    try:
        return Holder.read(content).lives is False
    except ValueError:
        return False
