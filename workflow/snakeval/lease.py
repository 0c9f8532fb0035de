"""The attempt lease, which allows one live attempt at an evaluation across all hosts.

A lease is a file and works on NFS without locks. The process that creates the file holds the lease.
The holder proves that it lives by changing a counter, so snakeval never compares clocks of
different hosts.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from snakeval.processes import process_lives, start_time

HEARTBEAT_SECONDS = 5.0
STALE_SECONDS = 45.0


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

    @classmethod
    def read(cls, text: str, renewed: float = 0.0) -> Holder:
        """Read a lease.

        Raises:
            ValueError: *text* is not a lease.
        """
        try:
            data = json.loads(text)
            start, beat = str(data["start"] or ""), data["beat"]
            return cls(str(data["id"]), str(data["host"]), int(data["pid"]), start, beat, renewed)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a lease: {error!r}") from None

    @property
    def lives(self) -> bool | None:
        """Whether the holder's process lives; None if it is on another host."""
        if self.host != socket.gethostname():
            return None
        return process_lives(self.pid, self.start)


def _holder(text: str) -> str:
    try:
        holder = Holder.read(text)
    except ValueError:
        return "another attempt"
    return f"process {holder.pid} on {holder.host}"


class Lease:
    """A context manager that waits for a live holder, and then holds the lease *path*.

    While it waits, it calls *waiting* once with the holder's name. The wait ends when *done*
    returns true, because the holder has finished the work; ``acquired`` is then false. It calls
    *lost* if another attempt takes the lease over.
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
    ) -> None:
        self.path = path
        self.acquired = False
        self._done, self._lost, self._waiting = done, lost, waiting
        self._heartbeat, self._stale = heartbeat, stale
        self._me: dict[str, Any] = {
            "id": uuid.uuid4().hex,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "start": start_time(os.getpid()),
        }
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        seen, since, told = "", time.monotonic(), False
        while not self._done():
            if self._create():
                self.acquired = True
                self._thread = threading.Thread(target=self._beat, daemon=True)
                self._thread.start()
                break
            current = self._read()
            if current != seen:
                seen, since = current, time.monotonic()
            if current and (self._dead(current) or time.monotonic() - since > self._stale):
                self._take_over(current)
                continue
            if not told:
                self._waiting(_holder(current))
                told = True
            time.sleep(min(1.0, self._heartbeat))
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
        if self.acquired and self._mine():
            self.path.unlink(missing_ok=True)

    def _text(self, beat: int) -> str:
        return json.dumps({**self._me, "beat": beat})

    def _create(self) -> bool:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Write another file and link it: link(2) fails if the name exists, also on NFS, and no
        # process can read an incomplete lease.
        draft = self.path.with_name(f"{self.path.name}.{self._me['id'][:8]}")
        try:
            draft.write_text(self._text(0), encoding="utf-8")
            os.link(draft, self.path)
        except FileExistsError:
            return False
        finally:
            draft.unlink(missing_ok=True)
        return True

    def _read(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def _mine(self) -> bool:
        return f'"{self._me["id"]}"' in self._read()

    def _dead(self, text: str) -> bool:
        """Return whether the holder is a dead process of this host, which saves the wait."""
        try:
            return Holder.read(text).lives is False
        except ValueError:
            return False

    def _take_over(self, stale: str) -> None:
        """Remove a dead holder's lease; a second lease keeps other takers from a new one."""
        taker = Lease(
            self.path.with_name(f"{self.path.name}.taker"),
            done=self._done,
            heartbeat=self._heartbeat,
            stale=self._stale,
        )
        with taker:
            if taker.acquired and self._read() == stale:
                self.path.unlink(missing_ok=True)

    def _beat(self) -> None:
        beat = 0
        while not self._stop.wait(self._heartbeat):
            beat += 1
            draft = self.path.with_name(f"{self.path.name}.{self._me['id'][:8]}")
            try:
                if not self._mine():
                    self._lost()
                    return
                draft.write_text(self._text(beat), encoding="utf-8")
                draft.replace(self.path)
            except OSError:
                # A full disk or a slow server; the next beat may succeed.
                with contextlib.suppress(OSError):
                    draft.unlink(missing_ok=True)
