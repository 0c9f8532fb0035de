"""Containers that are processes of this machine, known to nobody else: named by a mark.

Where no engine keeps a list, a variable in their environment says whose they are. Docker and
podman have names and labels to the same end.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import IO

from snakeval.processes import run_child
from snakeval.runtimes import Outcome
from snakeval.runtimes.spec import ContainerSpec

#: Names the container in the environment of its processes, as :attr:`ContainerSpec.name` does.
MARK = "SNAKEVAL_CONTAINER"
_VMSTAT = Path("/proc/vmstat")


def marked(names: Collection[str]) -> list[tuple[int, str]]:
    """Return the processes of this machine that belong to one of *names*, as specs are named."""
    begin = f"{MARK}=".encode()
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            variables = (place / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # it ended meanwhile, or belongs to somebody else
        for variable in variables:
            if variable.startswith(begin):
                name = variable[len(begin) :].decode(errors="replace")
                if name in names:
                    found.append((int(place.name), name))
                break
    return found


def kill_leftovers(name: str) -> None:
    """End what a killed attempt at *name* left running on this machine (Linux)."""
    for pid, _ in marked([name]):
        with contextlib.suppress(OSError):  # it ended meanwhile
            os.kill(pid, signal.SIGKILL)


def run_marked(
    spec: ContainerSpec,
    words: Sequence[str],
    log: IO[bytes],
    stop: Event,
    *,
    stdin: bytes,
    env: Mapping[str, str],
    cwd: str | None = None,
    by_signal: bool = True,
) -> Outcome:
    """Run *words*, which are *spec* under its lifeline, as :func:`snakeval.processes.run_child`.

    *env* must hold the :data:`MARK`.
    """
    before = _oom_kills()
    code = run_child(
        words,
        log,
        stop,
        grace=spec.grace,
        stdin=stdin,
        env=env,
        cwd=cwd,
        by_signal=by_signal,
    )
    # The counter is that of the whole machine; but together with our own child's SIGKILL it is
    # as good as certain.
    return Outcome(code, out_of_memory=code == 137 and _oom_kills() > before)


def oom_kills(vmstat: str) -> int:
    """Return how often the kernel has killed for want of memory, as ``/proc/vmstat`` says it."""
    counter = re.search(r"^oom_kill (\d+)$", vmstat, re.MULTILINE)
    return int(counter[1]) if counter else 0


def _oom_kills() -> int:
    try:
        return oom_kills(_VMSTAT.read_text(encoding="ascii"))
    except OSError:
        return 0  # not Linux
