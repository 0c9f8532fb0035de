"""Watches a server that serves, and notices breaks that its clients may have noticed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock

import psutil

from snakeval.serving import ports
from snakeval.serving.listeners import listening
from snakeval.serving.probe import Health

#: After so many wrong answers in a row, clients may have had some. One alone may be load.
WRONG = 2
SUSPENDED = "one of its processes was suspended"
REPLACED = "another process took over its port"


@dataclass(frozen=True, slots=True)
class Patience:
    """When a server that was ready counts as unhealthy.

    Attributes:
        wrong: after so many wrong answers in a row. Some servers answer 503 once under load.
        silent: after so many requests in a row without an answer, as load delays answers.
        pause: seconds between two requests.
        seconds: how long the server has for an answer.
        watch: seconds between two looks at a server that serves.
    """

    wrong: int = 3
    silent: int = 4
    pause: float = 2.0
    seconds: float = 10.0
    watch: float = 2.0


PATIENCE = Patience()


class Vigil:
    """Looks at a ready server every *pause* seconds.

    A break is a health that is wrong twice in a row, a suspended process, or a new listener at the
    port: a command of a user may start its server again by itself. A silent server may be busy.
    *port* is 0 for a server on another machine, since this process sees no process there.
    """

    def __init__(self, examine: Callable[[float], Health], port: int, pause: float) -> None:
        self._examine, self._port, self._pause = examine, port, pause
        self._lock = Lock()
        self._sockets = listening(port) if port else frozenset()
        self._processes = ports.processes(port) if port else ()

    def watch(self, ended: Event, notice: Callable[[str], None]) -> None:
        """Call *notice* with each break until *ended*."""
        wrong, wait = 0, self._pause
        while not ended.wait(wait):
            health = self._examine(self._pause)
            wrong = wrong + 1 if health.problem and not health.silent else 0
            wait = self._pause / 2 if wrong else self._pause
            if wrong == WRONG:
                notice(health.problem)
            if self.is_suspended():
                notice(SUSPENDED)
            if self.is_replaced():
                notice(REPLACED)

    def is_suspended(self) -> bool:
        """Whether a signal or its container stops a process; a debugger does not count."""
        for process in self._processes:
            with contextlib.suppress(psutil.Error):
                stopped = process.status() == psutil.STATUS_STOPPED or _is_frozen(process.pid)
                if stopped and process.is_running():
                    return True
        return False

    def is_replaced(self) -> bool:
        """Whether no listener of the last look is left, and others listen at the port."""
        if not self._port:
            return False
        with self._lock:
            before, now = self._sockets, listening(self._port)
            if not now or before & now:
                return False
            self._sockets, self._processes = now, ports.processes(self._port)
            return bool(before)


def _is_frozen(pid: int, groups: Path = Path("/sys/fs/cgroup"), proc: Path = Path("/proc")) -> bool:
    """Whether the control group of a process is frozen, as `docker pause` does (cgroups(7))."""
    with contextlib.suppress(OSError, ValueError):
        for line in (proc / str(pid) / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            group = path.lstrip("/")
            with contextlib.suppress(FileNotFoundError):  # the root has no such file
                if controllers == "":
                    events = (groups / group / "cgroup.events").read_text().splitlines()
                    if "frozen 1" in events:
                        return True
                elif controllers == "freezer":
                    state = (groups / "freezer" / group / "freezer.state").read_text().strip()
                    if state != "THAWED":
                        return True
    return False
