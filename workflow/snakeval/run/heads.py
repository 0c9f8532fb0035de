"""The Snakemake processes that work on a run."""

from __future__ import annotations

import json
import os
import shlex
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from snakeval import plugins
from snakeval.evaluation.plain import build_known
from snakeval.files import read_bytes, read_state, write_if_changed
from snakeval.lease import Holder
from snakeval.processes import ProcessIdentity, pid_namespace
from snakeval.run.directory import RunDirectory

#: The job that Snakemake itself is; its script sets it, since executors drop the scheduler's own.
HEAD_JOB = "SNAKEVAL_HEAD_JOB"


#: How often a head shows that it lives, in seconds.
_BEAT_SECONDS = 15.0
#: A head that this process cannot see is gone after so many missing signs of life.
_MISSING_BEATS = 12
#: Heads of earlier versions show no signs of life. They count as gone after so many seconds.
_FORGOTTEN_SECONDS = 30 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Head:
    """A process of Snakemake that works at a run.

    Attributes:
        job: the job that the process is, if it is one.
        boot, namespace: see :class:`snakeval.processes.ProcessIdentity`.
        beats: how often it shows that it lives, in seconds; 0 if never.
        invocation: the key of what its command saved; see :mod:`snakeval.run.saved`.
        since: when it began to work at the run, in seconds since 1970.
        models, benchmarks: what its command chose of the run; nothing means everything.
        follows: whether it is a follower, which starts Snakemake for each checkpoint.
    """

    host: str
    pid: int
    start: str
    command: str
    job: str = ""
    boot: str = ""
    namespace: str = ""
    beats: float = 0.0
    invocation: str = ""
    since: float = 0.0
    models: tuple[str, ...] = ()
    benchmarks: tuple[str, ...] = ()
    follows: bool = False

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Head:
        """Build it from the plain data of its note.

        Raises:
            ValueError: it is no note of a head.
        """
        return build_known(cls, data)

    @property
    def lives(self) -> bool | None:
        """Whether it lives; None if this process cannot know it."""
        identity = ProcessIdentity(self.host, self.pid, self.start, self.boot, self.namespace)
        if (lives := identity.lives) is not None:
            return lives
        return _job_lives(self.job) if self.job else None

    @property
    def is_this(self) -> bool:
        """Whether it is this process."""
        me = ProcessIdentity.of(os.getpid())
        return (self.pid, self.start, self.boot, self.namespace) == (
            me.pid, me.start, me.boot, me.namespace,
        )  # fmt: skip

    def is_silent(self, seconds: float) -> bool:
        """Whether it is gone if its last sign of life was *seconds* ago."""
        return seconds > self.silence

    @property
    def silence(self) -> float:
        """The seconds without a sign of life after which it counts as gone."""
        return _MISSING_BEATS * self.beats if self.beats > 0 else _FORGOTTEN_SECONDS


def _job_lives(job: str) -> bool | None:
    """Ask the executors in which a head can be a job."""
    for name in plugins.BUILT_IN[plugins.EXECUTORS]:
        executor = plugins.load(plugins.EXECUTORS, name)
        if executor.hosts_heads and (lives := executor().head_lives(job)) is not None:
            return bool(lives)
    return None


def enter(
    run: RunDirectory,
    command: Sequence[str],
    beats: float = _BEAT_SECONDS,
    *,
    invocation: str = "",
    models: Sequence[str] = (),
    benchmarks: Sequence[str] = (),
    follows: bool = False,
) -> None:
    """Note that this process works at *run*, and show every *beats* seconds that it lives.

    *invocation* is the key of what its command saved in the run. *models* and *benchmarks* are what
    the command chose of it.
    """
    chosen = (invocation, time.time(), tuple(models), tuple(benchmarks), follows)
    file = _note(run, os.getpid(), command, beats, *chosen)
    threading.Thread(target=_show_life, args=(file, beats), daemon=True).start()


def announce(run: RunDirectory, pid: int, command: Sequence[str], models: Sequence[str]) -> None:
    """Note that the process *pid* of this machine has started, which will :func:`enter` *run*.

    Raises:
        OSError: the note cannot be written.
    """
    _note(run, pid, command, _BEAT_SECONDS, "", time.time(), tuple(models))


def _note(run: RunDirectory, pid: int, command: Sequence[str], beats: float, *chosen: Any) -> Path:
    me = ProcessIdentity.of(pid)
    job, words = os.environ.get(HEAD_JOB, ""), shlex.join(command)
    head = Head(me.host, me.pid, me.start, words, job, me.boot, me.namespace, beats, *chosen)
    file = run.head_file(head.host, head.pid, head.namespace)
    write_if_changed(file, json.dumps(asdict(head)))
    return file


def _show_life(file: Path, beats: float) -> None:
    while True:
        time.sleep(beats)
        try:
            os.utime(file)
        except FileNotFoundError:
            return  # the head has left the run
        except OSError:
            continue  # a file server that answers again later


def leave(run: RunDirectory) -> None:
    """Note that this process does not work at *run* any more."""
    run.head_file(socket.gethostname(), os.getpid(), pid_namespace()).unlink(missing_ok=True)


def followers(run: RunDirectory) -> list[Head]:
    """Return the followers of *run* that live or wait, and those that this process cannot see."""
    return [each for each in workers(run) if each.follows]


def is_waiting(run: RunDirectory, head: Head) -> bool:
    """Whether a head is a follower that waits for the end of another one."""
    if not head.follows:
        return False
    try:
        holder = Holder.read(read_bytes(run.follow_lease) or b"")
    except (OSError, ValueError):
        return False  # it begins or ends just now
    return (holder.host, holder.pid, holder.start) != (head.host, head.pid, head.start)


def heads(run: RunDirectory, *, writes: bool = True) -> list[Head]:
    """Return the heads at *run* that live, and those of which this process cannot know it.

    The one that began first comes first, since a directory lists files in no order.
    A head that cannot be seen and that shows no sign of life any more is gone. If it *writes*, this
    process asks the file server for its time, with a file. A follower is no head.
    """
    return [each for each in workers(run, writes=writes) if not each.follows]


def workers(run: RunDirectory, *, writes: bool = True) -> list[Head]:
    """Return the heads at *run* and its followers, as :func:`heads` does."""
    found = []
    now: float | None = None
    for path in run.head_files():
        try:
            renewed = path.stat().st_mtime
            head = read_state(path, Head.from_dict)
        except OSError:
            continue  # it ended just now
        if head is None or (lives := head.lives) is False:
            continue
        if lives is None:
            if now is None:
                now = (run.file_time() if writes else None) or time.time()
            if head.is_silent(now - renewed):
                continue
        found.append(head)
    return sorted(found, key=lambda head: (head.since, head.host, head.pid))
