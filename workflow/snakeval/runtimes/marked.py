"""Runs and finds containers that are plain processes of this machine, by a mark.

Without an engine that lists containers, a variable in the environment of a container's processes
names the container. Docker and podman have names and labels for this purpose.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import IO, Any

from snakeval.processes import run_child
from snakeval.runtimes import Outcome
from snakeval.runtimes.reaped import run_reaped
from snakeval.runtimes.reaper import descendants
from snakeval.runtimes.spec import ContainerSpec

#: The variable that has :attr:`ContainerSpec.name` in the environment of a container's processes.
MARK = "SNAKEVAL_CONTAINER"
_VMSTAT = Path("/proc/vmstat")
#: How often the variables of a process are looked for that shows neither them nor a command line.
_LOOKS = 200


def marked(names: Collection[str] | None = None) -> list[tuple[int, str]]:
    """Return pid and name of the processes of this machine that belong to containers in *names*.

    Without *names*, to any container.
    """
    begin = f"{MARK}=".encode()
    found = []
    for pid, variables in environments():
        for variable in variables:
            if variable.startswith(begin):
                name = variable[len(begin) :].decode(errors="replace")
                if names is None or name in names:
                    found.append((pid, name))
                break
    return found


def environments() -> Iterator[tuple[int, list[bytes]]]:
    """Yield pid and variables, ``name=value``, of the processes of this machine.

    Processes that end meanwhile, and those of other users, are left out.
    """
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield int(place.name), _variables(place).split(b"\0")


def _variables(process: Path) -> bytes:
    """Return the variables of a process, also if it replaces its program just now (exec).

    For that moment it shows no variables and no command line, but has a program.
    """
    without = 0
    for _ in range(_LOOKS):
        if text := (process / "environ").read_bytes():
            return text
        if (process / "cmdline").read_bytes():
            without += 1
            if without == 3:
                break  # it has no variables
        else:
            (process / "exe").readlink()  # fails if it has ended, or belongs to the kernel
            time.sleep(0.001)
    return b""


def kill_leftovers(name: str) -> None:
    """Kill the processes that a killed attempt at *name* left on this machine (Linux).

    Also those below them that removed the mark from their environment.
    """
    found = [pid for pid, _ in marked([name])]
    below = [child for pid in found for child in descendants(pid)]
    for pid in dict.fromkeys([*found, *below]):  # parents first, which could start others
        with contextlib.suppress(OSError):  # the process ended
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
    """Run *words*, the command of *spec* with its lifeline, and detect out-of-memory kills.

    *env* must contain the :data:`MARK`. See :func:`snakeval.runtimes.reaped.run_reaped`.
    """
    before = _oom_kills()
    same: Any = {"grace": spec.grace, "stdin": stdin, "env": env, "cwd": cwd, "keep": spec.keep}
    if by_signal:
        code = run_reaped(words, log, stop, **same)
    else:  # a step of a Slurm job, which Slurm ends
        code = run_child(words, log, stop, **same, by_signal=False)
    if code > 128:
        kill_leftovers(spec.name)  # whatever was killed may have been the reaper itself
    # The counter is that of the whole machine. Together with the child's own SIGKILL it is almost
    # certain.
    return Outcome(code, out_of_memory=code == 137 and _oom_kills() > before)


def oom_kills(vmstat: str) -> int:
    """Return the number of the kernel's out-of-memory kills in the text of ``/proc/vmstat``."""
    counter = re.search(r"^oom_kill (\d+)$", vmstat, re.MULTILINE)
    return int(counter[1]) if counter else 0


def _oom_kills() -> int:
    try:
        return oom_kills(_VMSTAT.read_text(encoding="ascii"))
    except OSError:
        return 0  # not Linux
