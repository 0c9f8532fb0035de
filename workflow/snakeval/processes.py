"""Identifies processes, and runs a child process that always ends with its parent."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Event
from typing import IO

from snakeval.errors import EvaluationError
from snakeval.ledger.start_time import start_time


def process_lives(pid: int, started: str = "") -> bool:
    """Return whether *pid* lives and, if its start is known, is the same process.

    A process that this one may not see counts as alive.
    """
    return _seen(pid, started) is not False


def _seen(pid: int, started: str) -> bool | None:
    """Whether *pid* of this PID namespace is the process that started then; None if hidden."""
    if pid <= 0 or not _has_process(pid):
        return False
    found = start_time(pid)
    if found is None:
        return False
    if not found:
        if not _has_process(pid):
            return False  # it ended between the two questions
        # Without /proc there is no start. With `hidepid` the processes of other users are missing.
        return None if started and _OWN_STAT.exists() else True
    return not started or found == started


def _has_process(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # the process lives, and belongs to another user
    return True


_OWN_STAT = Path("/proc/self/stat")


@cache
def boot_id() -> str:
    """Return the identity of this boot of this machine's kernel; empty if it is unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def pid_namespace() -> str:
    """Return the identity of the namespace in which pids of this process count."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """Identifies a process for other processes, also on other hosts.

    Host names are not unique: containers and cloned machines share them. The boot of the kernel
    and the PID namespace are. Older notes have neither.
    """

    host: str
    pid: int
    start: str
    boot: str = ""
    namespace: str = ""

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity:
        """Return the identity of a process that this one sees under *pid*."""
        start = start_time(pid) or ""
        return cls(socket.gethostname(), pid, start, boot_id(), pid_namespace())

    @property
    def is_visible(self) -> bool:
        """Whether this process could see it: it is on this machine, in the same namespace."""
        if self.boot:
            return (self.boot, self.namespace) == (boot_id(), pid_namespace())
        return self.host == socket.gethostname()

    @property
    def lives(self) -> bool | None:
        """Whether it lives; None if this process cannot see it."""
        return _seen(self.pid, self.start) if self.is_visible else None


#: How long a command that only answers a question may take, in seconds.
_ANSWER_SECONDS = 30


def first_line(command: Sequence[str]) -> str:
    """Return the first line that a command prints.

    Raises:
        EvaluationError: the command fails, or does not end within half a minute.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise EvaluationError(f"{command[0]} does not answer within {_ANSWER_SECONDS} s") from None
    except OSError as error:
        raise EvaluationError(f"{command[0]} cannot be started ({error.strerror})") from None
    if done.returncode != 0:
        problem = done.stderr.strip().splitlines() or ["no message"]
        raise EvaluationError(f"{command[0]} fails: {problem[-1][:200]}")
    return (done.stdout.strip().splitlines() or [""])[0]


#: How many seconds a child has beyond its grace if the end of its input stops it. The end of input
#: takes longer than a signal to arrive.
_TRANSPORT_SECONDS = 5.0


def run_child(
    argv: Sequence[str],
    log: IO[bytes],
    stop: Event,
    *,
    grace: float,
    stdin: bytes,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    by_signal: bool = True,
    keep: Sequence[int] = (),
) -> int:
    """Run *argv* to its end and return its exit code (128 + signal, as in shells).

    The child reads *stdin*. The stream ends when this process dies, even by SIGKILL, and so does a
    command under :data:`snakeval.runtimes.lifeline.LIFELINE`. When *stop* is set, the child gets
    SIGTERM, and after *grace* seconds its process group gets SIGKILL. The child has its own group,
    so a Ctrl-C in the terminal reaches it only through *stop*. Without *by_signal*, the end of
    input replaces SIGTERM, for a child that does not forward signals. The child keeps the files
    *keep* open.

    Raises:
        OSError: the child could not start.
    """
    reading, lifeline = os.pipe()
    try:
        try:
            child = subprocess.Popen(
                argv,
                stdin=reading,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                start_new_session=True,
                pass_fds=keep,
            )
        finally:
            os.close(reading)
        # The child may have ended already, and its exit code explains why.
        with contextlib.suppress(BrokenPipeError):
            os.write(lifeline, stdin)
        while True:
            try:
                code = child.wait(timeout=0.1)
                break
            except subprocess.TimeoutExpired:
                if stop.is_set():
                    if not by_signal:
                        os.close(lifeline)
                        lifeline = -1
                    code = _stop(child, grace, by_signal)
                    break
        _signal_group(child.pid, signal.SIGKILL)  # processes that the child left running
        if code < 0:
            _kill_session(child.pid)  # a reaper that was killed leaves it
    finally:
        if lifeline >= 0:
            os.close(lifeline)
    return code if code >= 0 else 128 - code


def _stop(child: subprocess.Popen[bytes], grace: float, by_signal: bool) -> int:
    if not by_signal:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(timeout=grace + _TRANSPORT_SECONDS)
    child.terminate()
    try:
        return child.wait(timeout=grace)
    except subprocess.TimeoutExpired:
        _signal_group(child.pid, signal.SIGKILL)
        return child.wait()


def _kill_session(session: int) -> None:
    """Kill all processes of a session (Linux)."""
    killed = True
    while killed:  # a process may start another one meanwhile
        killed = False
        for place in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, IndexError):
                fields = (place / "stat").read_text(errors="replace").rpartition(")")[2].split()
                if fields[3] == str(session) and fields[0] not in "ZX":
                    os.kill(int(place.name), signal.SIGKILL)
                    killed = True


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
