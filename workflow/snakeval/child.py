"""Runs a child process that is never left behind, streaming its output to a log."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from threading import Event
from typing import IO

_PR_SET_PDEATHSIG = 1  # prctl(2)


def _die_with_parent() -> None:
    """Ask Linux to kill this process when its parent dies, even of SIGKILL."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def run_child(
    argv: Sequence[str],
    log: IO[bytes],
    stop: Event,
    *,
    grace: float,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
) -> int:
    """Run *argv* to its end and return its exit code (128 + signal, as shells say it).

    When *stop* is set its process group gets SIGTERM, and SIGKILL after *grace* seconds. The
    group is its own, so a Ctrl-C in the terminal reaches it through *stop*, once.

    Raises:
        OSError: it could not be started.
    """
    child = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=dict(env) if env is not None else None,
        cwd=cwd,
        start_new_session=True,
        preexec_fn=_die_with_parent,
    )
    if stdin and child.stdin is not None:
        feeder = threading.Thread(target=_feed, args=(child.stdin, stdin), daemon=True)
        feeder.start()
    while True:
        try:
            code = child.wait(timeout=0.1)
            break
        except subprocess.TimeoutExpired:
            if stop.is_set():
                code = _stop(child, grace)
                break
    _signal_group(child.pid, signal.SIGKILL)  # whatever it started and left running
    return code if code >= 0 else 128 - code


def _feed(pipe: IO[bytes], data: bytes) -> None:
    # A child that ends without reading is no error of ours.
    with contextlib.suppress(BrokenPipeError), pipe:
        pipe.write(data)


def _stop(child: subprocess.Popen[bytes], grace: float) -> int:
    _signal_group(child.pid, signal.SIGTERM)
    try:
        return child.wait(timeout=grace)
    except subprocess.TimeoutExpired:
        _signal_group(child.pid, signal.SIGKILL)
        return child.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
