"""Runs commands on this machine: local jobs, and a rule's commands before and after its job."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_BASH = ("bash", "-euo", "pipefail", "-c")
_GRACE = 15.0


class LocalJob:
    """A command in the background, with a log and *more* variables."""

    def __init__(self, command: str, log: Path, more: Mapping[str, str] | None = None) -> None:
        self.log = log
        self._more = more or {}
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the command. A caller that may stop it must know this object first."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as output, _interrupt_afterwards():
            # In a group of its own: a Ctrl-C reaches it by stop(), which then waits for it.
            self._process = subprocess.Popen(
                [*_BASH, self._command], stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, process_group=0, env={**os.environ, **self._more},
            )  # fmt: skip

    def poll(self) -> int | None:
        """Return the exit code, or None while the command runs."""
        return self._process.poll() if self._process else None

    def stop(self) -> None:
        """Stop the command and its child processes."""
        if self._process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE)
                return


@contextlib.contextmanager
def _interrupt_afterwards() -> Iterator[None]:
    """Hold a Ctrl-C back while the context lasts.

    ``Popen`` waits for its child's exec. A KeyboardInterrupt in that moment would lose the process
    that it has just started: no object refers to it, so nothing could stop it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python interrupts the main thread only
        return
    came: list[Any] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came and callable(before):
        before(*came[0])


def run(command: str, more: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run a command to its end; return its exit code and the last lines of its output."""
    done = subprocess.run(
        [*_BASH, command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
        env={**os.environ, **(more or {})},
    )  # fmt: skip
    return done.returncode, "\n".join(done.stdout.splitlines()[-20:])
