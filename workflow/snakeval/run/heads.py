"""The Snakemake processes that work on a run."""

from __future__ import annotations

import json
import os
import shlex
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from snakeval.catalogue import plugins
from snakeval.files import write_if_changed
from snakeval.processes import process_lives, start_time
from snakeval.run.directory import RunDirectory

#: The job that Snakemake itself is; its script sets it, since executors drop the scheduler's own.
HEAD_JOB = "SNAKEVAL_HEAD_JOB"


@dataclass(frozen=True, slots=True)
class Head:
    """A process of Snakemake that works at a run; ``job`` is the job that it is, if it is one."""

    host: str
    pid: int
    start: str
    command: str
    job: str = ""

    @property
    def lives(self) -> bool | None:
        """Whether it lives; None where that cannot be known from here."""
        if self.host == socket.gethostname():
            return process_lives(self.pid, self.start)
        return _job_lives(self.job) if self.job else None


def _job_lives(job: str) -> bool | None:
    """Ask the executors in which a head can be a job."""
    for name in plugins.BUILT_IN[plugins.EXECUTORS]:
        executor = plugins.load(plugins.EXECUTORS, name)
        if executor.hosts_heads and (lives := executor().head_lives(job)) is not None:
            return bool(lives)
    return None


def enter(run: RunDirectory, command: Sequence[str]) -> None:
    """Note that this process works at *run*."""
    head = Head(
        socket.gethostname(),
        os.getpid(),
        start_time(os.getpid()) or "",
        shlex.join(command),
        os.environ.get(HEAD_JOB, ""),
    )
    write_if_changed(run.head_file(head.host, head.pid), json.dumps(asdict(head)))


def leave(run: RunDirectory) -> None:
    """Note that this process does not work at *run* any more."""
    run.head_file(socket.gethostname(), os.getpid()).unlink(missing_ok=True)


def heads(run: RunDirectory) -> list[Head]:
    """Return the heads at *run* that live, and those of other hosts, of which it is not known."""
    found = []
    for path in run.head_files():
        try:
            head = Head(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue  # it ended just now
        if head.lives is not False:
            found.append(head)
    return found
