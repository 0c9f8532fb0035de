"""Runs a command on this machine so that nothing of what it starts outlives it."""

from __future__ import annotations

import contextlib
import marshal
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import IO

from snakeval.processes import run_child
from snakeval.runtimes.reaper import KILL_SECONDS

_REAPER = str(Path(__file__).with_name("reaper.py"))
#: How much longer than it says the reaper may take, on a busy machine.
_MORE_SECONDS = 5.0


def run_reaped(
    argv: Sequence[str],
    log: IO[bytes],
    stop: Event,
    *,
    grace: float,
    stdin: bytes,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    keep: Sequence[int] = (),
) -> int:
    """Run *argv* as :func:`run_child` does, and leave nothing of what it starts.

    Processes that left its group and its parent end, and its shared memory is removed; see
    :mod:`snakeval.runtimes.reaper`. The open files *keep* stay open until all of it has ended.

    Raises:
        OSError: the reaper could not start.
    """
    with _order(argv, env, grace, keep) as order:
        return run_child(
            [sys.executable, "-I", "-S", _REAPER, str(order)],
            log,
            stop,
            grace=grace + KILL_SECONDS + _MORE_SECONDS,
            stdin=stdin,
            env={**os.environ, **_marks(env)},
            cwd=cwd,
            keep=(order, *keep),
        )


@contextlib.contextmanager
def _order(
    argv: Sequence[str], env: Mapping[str, str] | None, grace: float, keep: Sequence[int]
) -> Iterator[int]:
    """Yield a file with the order for the reaper. It is in memory, since *env* has secrets."""
    values = dict(os.environ if env is None else env)
    order = {"argv": list(argv), "env": values, "grace": grace, "keep": list(keep)}
    descriptor = os.memfd_create("snakeval-order")
    try:
        os.write(descriptor, marshal.dumps(order))
        yield descriptor
    finally:
        os.close(descriptor)


def _marks(env: Mapping[str, str] | None) -> dict[str, str]:
    """Return the variables by which snakeval finds its processes and the environments in use.

    The reaper has them, so that a rebuild does not remove an environment before its command starts.
    """
    marks = ("SNAKEVAL_", "VIRTUAL_ENV")
    return {name: value for name, value in (env or {}).items() if name.startswith(marks)}
