"""Finds what works at a run on this machine, and what its jobs left, to stop it.

Their identities are never reused: a process has a pid with a start time, or a mark in its
environment; a container has a name that is derived from its evaluation's directory. snakeval never
touches a process with a reused pid, or a container of another run.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from snakeval.errors import EvaluationError
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.executors.base import Remain
from snakeval.executors.engines import containers
from snakeval.executors.job_processes import job_processes
from snakeval.ledger.start_time import start_time
from snakeval.ledger.summary import lives_here
from snakeval.processes import process_lives
from snakeval.run.directory import RunDirectory
from snakeval.run.heads import Head, followers, heads
from snakeval.runtimes.marked import marked
from snakeval.serving import client as pool
from snakeval.serving.deployment import server_names
from snakeval.serving.directory import DeploymentDirectory


class Work:
    """The work of *run*, or of one *evaluation* of it, on this machine."""

    def __init__(self, run: RunDirectory, evaluation: str = "") -> None:
        self._run = run
        self._evaluation = evaluation
        self._seen: dict[Head, None] = {}
        self.silent: set[str] = set()

    def workers(self) -> Iterator[Remain]:
        """Yield Snakemake and its jobs."""
        if not self._evaluation:
            # A follower would start the next Snakemake.
            mine = followers(self._run)
            yield from (_follower(each) for each in mine if each.lives and not each.job)
            # One that has left the run has a table to print before it ends.
            self._seen.update((head, None) for head in heads(self._run))
            yield from (_head(head) for head in self._seen if head.lives and not head.job)
        jobs: dict[int, Remain] = {}
        for directory in self._evaluations:
            with contextlib.suppress(OSError, ValueError):  # the process itself is found below
                holder = directory.holder()
                if holder and holder.lives:
                    jobs[holder.pid] = _job(directory.name, holder.pid, holder.start)
        for pid, path in job_processes():
            if pid not in jobs and (name := self._places.get(path)):
                jobs[pid] = _job(name, pid, start_time(pid) or "")
        yield from jobs.values()
        for directory in self._evaluations:
            if gateway := _gateway(directory):
                yield gateway

    def left(self) -> Iterator[Remain]:
        """Yield servers, processes and containers without a job."""
        serving, alone = ([], {}) if self._evaluation else self._served()
        names = {**self._names, **alone}
        yield from serving
        for pid, name in marked(names):
            yield _process(pid, f"process {pid} of {names[name]}")
        servers = not self._evaluation
        yield from containers(self._run, names, servers=servers, silent=self.silent)

    @cached_property
    def _evaluations(self) -> list[EvaluationDirectory]:
        """The evaluations' directories; also of those that are no longer in the plan."""
        if self._evaluation:
            return [self._run.evaluation(self._evaluation)]
        return self._run.evaluations()

    @cached_property
    def _places(self) -> dict[Path, str]:
        """The evaluations' real paths -> their names."""
        return {directory.path.resolve(): directory.name for directory in self._evaluations}

    @cached_property
    def _names(self) -> dict[str, str]:
        """The names of containers and marks of processes -> the evaluation."""
        return {directory.container_name: directory.name for directory in self._evaluations}

    def _served(self) -> tuple[list[Remain], dict[str, str]]:
        """Return the servers of this run alone, and the names of servers that no pool has."""
        try:
            plans = {
                plan.deployment.server_id: plan for plan in DeploymentDirectory.plans(self._run)
            }
            status: dict[str, Any] = pool.status() or {}
        except EvaluationError:
            return [], {}
        here = str(self._run.absolute())
        servers = {server["id"]: server for server in status.get("servers", ())}
        mine = [i for i in plans.keys() & servers.keys() if not {*servers[i]["runs"]} - {here}]
        clients = [c["who"].rpartition("/") for c in status.get("clients", ()) if c["run"] == here]
        deploying = [name for name, _, kind in clients if kind == DeploymentDirectory.folder(1)]
        # The pool ends servers and jobs end themselves, both since the head is gone.
        return [
            *(Remain(f"server {i}", f"the server of {plans[i].name}") for i in mine),
            *(Remain(f"deploys {name}", f"the job that deploys {name}") for name in deploying),
        ], {
            name: f"the server of {plan.name}"
            for i, plan in plans.items()
            if i not in servers
            for name in server_names(plan.deployment)
        }


# --- processes ----------------------------------------------------------------------------------


def end_left_processes(run: RunDirectory) -> None:
    """Kill what evaluations left on this machine whose job and reaper were killed together.

    The evaluations of another command that works at the run now are left alone.
    """
    # The processes come first: those of a job that starts later are not among them.
    if not (found := [(pid, start_time(pid), name) for pid, name in marked()]):
        return
    evaluations = {directory.container_name: directory for directory in run.evaluations()}
    for pid, start, name in found:
        if start and name in evaluations and _is_left(evaluations[name]):
            _signal(pid, start, signal.SIGKILL)


def _is_left(directory: EvaluationDirectory) -> bool:
    """Whether no job can be at work at an evaluation."""
    try:
        holder = directory.holder()
    except (OSError, ValueError):
        return False  # a damaged lease may be a living job's
    return holder is None or holder.lives is False


def _signal(pid: int, start: str, number: signal.Signals, group: bool = False) -> None:
    """Send a signal, if *pid* is still the process that it was."""
    if not process_lives(pid, start):
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if group and os.getpgid(pid) == pid:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)


def _head(head: Head) -> Remain:
    send = partial(_signal, head.pid, head.start)
    # Like Ctrl-C, to the whole group if it leads one. A process that was started in a script's
    # background ignores that. It gets the signal that lets jobs end; they are stopped beside it.
    ask = (
        partial(send, signal.SIGTERM)
        if _ignores(head.pid, signal.SIGINT)
        else partial(send, signal.SIGINT, group=True)
    )
    return Remain(
        f"head {head.pid} {head.start}",
        f"Snakemake (process {head.pid})",
        (ask, partial(send, signal.SIGTERM), partial(send, signal.SIGKILL)),
    )


def _follower(head: Head) -> Remain:
    send = partial(_signal, head.pid, head.start)
    # SIGTERM leaves its heads alone, which are stopped beside it.
    acts = (partial(send, signal.SIGTERM), partial(send, signal.SIGKILL), None)
    text = f"the follower (process {head.pid})"
    return Remain(f"follower {head.pid} {head.start}", text, acts)


def _ignores(pid: int, number: signal.Signals) -> bool:
    """Whether a process ignores a signal: proc(5), SigIgn."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    masks = [line.split()[1] for line in lines.splitlines() if line.startswith("SigIgn:")]
    return bool(masks) and bool(int(masks[0], 16) >> (number - 1) & 1)


def _job(name: str, pid: int, start: str) -> Remain:
    send = partial(_signal, pid, start)
    tell = partial(send, signal.SIGTERM)
    kill = partial(send, signal.SIGKILL)
    return Remain(f"job {pid} {start}", f"the job of {name} (process {pid})", (tell, None, kill))


def _gateway(directory: EvaluationDirectory) -> Remain | None:
    """Return the gateway of an evaluation, which a kill does not let drain."""
    with contextlib.suppress(OSError):
        if (pid := lives_here(directory.requests / "gateway")) is not None:
            start = start_time(pid) or ""
            text = f"the gateway of {directory.name} (process {pid})"
            send = partial(_signal, pid, start)
            # SIGTERM would let it finish the requests under way.
            acts = (partial(send, signal.SIGINT), None, partial(send, signal.SIGKILL))
            return Remain(f"gateway {pid} {start}", text, acts)
    return None


def _process(pid: int, text: str) -> Remain:
    """Return a process that a job or a server's shell left. It ends by itself, perhaps late."""
    send = partial(_signal, pid, start_time(pid) or "")
    acts = (None, partial(send, signal.SIGTERM), partial(send, signal.SIGKILL))
    return Remain(f"process {pid}", text, acts)
