"""The executor ``local``: this machine. :mod:`.local_stop` stops its work."""

from __future__ import annotations

import contextlib
import os
from functools import cached_property
from typing import ClassVar, Literal

from snakeval.errors import EvaluationError
from snakeval.evaluation.events import last, read
from snakeval.executors.base import Executor, Jobs, Report, Stage, Stopping
from snakeval.run.directory import RunDirectory
from snakeval.serving.directory import DeploymentDirectory

# The pool and `local_stop` are imported where they are used: `status` mostly needs neither.


class Local(Executor):
    """This machine. Snakemake's own executor runs the jobs; the pool of servers is snakeval's.

    A run of another executor also uses this machine: for its Snakemake, and for servers.
    """

    name = "local"
    title = "this machine"
    plugins: ClassVar[tuple[str, ...]] = ("local",)

    def jobs(self, run: RunDirectory) -> Jobs:
        """Return what starts here. Running jobs are known by their leases, to `status` itself."""
        return _Jobs(run)

    def stop(self, run: RunDirectory, evaluation: str | None = None) -> Stopping:
        """Return Snakemake and its jobs, then servers, processes and containers that they left."""
        from snakeval.executors.local_stop import Work

        work = Work(run, evaluation or "")
        return Stopping({Stage.WORKERS: work.workers, Stage.LEFT: work.left}, work.silent)

    def close(self, run: RunDirectory, report: Report) -> None:
        """Give back the servers that this Snakemake's evaluations asked; end what jobs left."""
        from snakeval.executors.local_stop import end_left_processes
        from snakeval.serving import client as pool

        end_left_processes(run)
        if not run.deployments():
            return
        loads = pool.leave(pool.head_of(os.getpid()))
        if loads:
            each = ", ".join(f"{name} {count}" for name, count in sorted(loads.items()))
            report(f"\nModel loads: {sum(loads.values())} ({each})")


class _Jobs(Jobs):
    def __init__(self, run: RunDirectory) -> None:
        self._run = run

    def deploying(self, model: str) -> tuple[Literal["deploying", "waiting"], str] | None:
        return self._starting.get(model)

    @cached_property
    def _starting(self) -> dict[str, tuple[Literal["deploying", "waiting"], str]]:
        """The servers that jobs of the run wait for now. The pool forgets a job when it ends."""
        from snakeval.serving import client as pool

        here = str(self._run.absolute())
        found: dict[str, tuple[Literal["deploying", "waiting"], str]] = {}
        with contextlib.suppress(EvaluationError):
            for client in (pool.status() or {}).get("clients", ()):
                name, _, kind = client["who"].rpartition("/")
                if kind == DeploymentDirectory.folder(1) and client["run"] == here:
                    happened = read(DeploymentDirectory.of(self._run, name).events)
                    told = last(event for event in happened if event.detail)
                    said = told.detail if told else ""
                    found[name] = ("deploying" if client["holds"] else "waiting", said)
        return found
