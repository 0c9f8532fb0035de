"""The executor ``slurm``: jobs of Snakemake's plugins ``slurm-resume`` and ``slurm``."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from snakeval.errors import EvaluationError
from snakeval.executors.base import (
    Act,
    Check,
    Executor,
    Fate,
    Finding,
    Intent,
    Job,
    Jobs,
    JobState,
    Remain,
    Stage,
    Stopping,
)
from snakeval.executors.slurm import commands
from snakeval.executors.slurm.controller import ACCOUNTING, CONTROLLER
from snakeval.executors.slurm.queue import Job as SlurmJob
from snakeval.executors.slurm.queue import Queue, link_notes
from snakeval.processes import first_line
from snakeval.run.directory import RunDirectory
from snakeval.run.heads import Head, followers, heads

if TYPE_CHECKING:
    from snakeval.config.config import Config
    from snakeval.config.execution import Slurm as Options
    from snakeval.matrix.planned_jobs import PlannedJob

#: Seconds between two looks at the queue of a controller that all users share.
_QUEUE_SECONDS = 2.0
#: After a silence of so many seconds, a stop does not wait for Slurm any more.
_SILENT_SECONDS = 12.0
#: Seconds in all for which a stop waits for answers of the controller that do not come.
_STOP_SECONDS = 15.0


class Slurm(Executor):
    """Jobs in the queue of a Slurm cluster."""

    name = "slurm"
    title = "Slurm"
    plugins: ClassVar[tuple[str, ...]] = ("slurm-resume", "slurm")
    hosts_heads = True
    one_head: ClassVar[bool] = True

    def options(self) -> type[Options]:
        """Return the schema of ``execution.slurm``."""
        from snakeval.config.execution import Slurm

        return Slurm

    def resources(self) -> Mapping[str, str]:
        """Return the resources of Snakemake's Slurm executor."""
        from snakeval.matrix.slurm_requests import RESOURCES

        return RESOURCES

    def checks(self, intent: Intent) -> Iterator[Check]:
        """Check that this machine can submit jobs to a cluster, and the plugin is installed."""
        needed = ("sbatch",) if intent.starting else ("sinfo", "sbatch")
        if missing := [word for word in needed if shutil.which(word) is None]:
            found = f"no {' and no '.join(missing)} on the PATH"
            state: Finding = "wrong" if intent.starting else "no"
            yield Check("cluster", state, found, "needed by --profile slurm only")
            return
        if intent.starting:
            return
        try:
            nodes = first_line(["sinfo", "--noheader", "--summarize", "--format", "%P %F"])
            version = first_line(["sinfo", "--version"])
        except EvaluationError as error:
            yield Check("cluster", "no", str(error), "needed by --profile slurm only")
            return
        lacks = importlib.util.find_spec("snakemake_executor_plugin_slurm") is None
        need = "for --profile slurm: pip install 'snakeval[slurm]'" if lacks else ""
        yield Check("cluster", "ok", f"{version}: {nodes}", need)
        if intent.config is not None:
            yield from _refused(intent.config, intent.settings(self.name))

    def lacks(self, plugin: str) -> str:
        """Check the official plugin, which the plugin ``slurm-resume`` extends."""
        from snakemake_executor_plugin_slurm_resume import official

        return official.problem() if plugin == "slurm-resume" else ""

    def plan(self, jobs: Sequence[PlannedJob]) -> Sequence[str]:
        """Return a line for each job."""
        from snakeval.executors.slurm import plan

        return plan.lines(jobs)

    def refusals(self, jobs: Sequence[PlannedJob]) -> Iterator[str]:
        """Ask sbatch, sinfo and sacctmgr."""
        from snakeval.executors.slurm import plan

        return plan.refusals(jobs)

    def open(self, run: RunDirectory) -> None:
        """Link the notes that the plugin makes in this directory."""
        link_notes(run)

    def jobs(self, run: RunDirectory) -> Jobs:
        """Return the run's jobs, asked for in one call of squeue."""
        return _Jobs(run)

    def hurry(self) -> None:
        """Spend few seconds on a Slurm that does not answer."""
        CONTROLLER.within(_STOP_SECONDS)
        ACCOUNTING.within(_STOP_SECONDS / 3)

    def stop(self, run: RunDirectory, evaluation: str | None = None) -> Stopping:
        """Return the jobs to cancel; of one evaluation perhaps only a process in its job."""
        return Stopping({Stage.WORKERS: _Live(run, evaluation or "")})

    def submit_head(self, run: str, command: Sequence[str], log: Path, config: Config) -> str:
        """Submit a batch script that runs Snakemake again whenever it dies."""
        from snakeval.executors.slurm.head import head_script
        from snakeval.matrix.slurm_requests import head_options, layered

        asked = head_options(layered(config.execution))
        return commands.submit(head_script(run, command, Path.cwd(), log, asked))

    def head_lives(self, job: str) -> bool | None:
        """Ask squeue."""
        return commands.is_live(job)


def _refused(config: Config, settings: Mapping[str, Any]) -> Iterator[Check]:
    """Yield which of a configuration's jobs the site will refuse."""
    from snakeval.executors.slurm import plan

    if not (jobs := plan.planned_by(config, settings)):
        return
    refused = list(plan.refusals(jobs))
    for problem in refused:
        yield Check("Slurm jobs", "wrong", problem, "correct execution.slurm or the profile")
    if not refused:
        yield Check("Slurm jobs", "ok", f"Slurm refuses none of {len(jobs)}")


class _Jobs(Jobs):
    """The jobs of a run's :class:`Queue`, in the words of every executor."""

    def __init__(self, run: RunDirectory) -> None:
        self._queue = Queue(run)

    def of(self, name: str) -> Job | None:
        found = self._queue.of(name)
        self.silent = self._queue.silent
        if (why := self._queue.limited.get(name)) and not (found and found.lives):
            text = f"Slurm accepts no more jobs now ({why}); Snakemake waits until a job ends"
            return Job("", (name,), JobState.WAITING, text)
        return self._job(found) if found else None

    def all(self) -> Sequence[Job]:
        return self._all

    @cached_property
    def _all(self) -> list[Job]:
        found = self._queue.jobs
        self.silent = self._queue.silent
        return [self._job(job) for job in found]

    def noted(self) -> Sequence[Job]:
        return [self._job(job) for job in self._queue.noted]

    def notices(self) -> Sequence[str]:
        return self._queue.notices

    def _job(self, job: SlurmJob) -> Job:
        state, text = JobState.LOST, str(job)
        if job.lives:
            state = JobState.WAITING
            if self.silent and not job.certain:
                state = JobState.UNKNOWN
                text = f"Slurm job {job.id} cannot be asked for: {self.silent}"
        elif job.word == "COMPLETED":
            state = JobState.ENDED
        return Job(job.id, job.names, state, text, job.log, job.submitted, job.elapsed)


class _Live:
    """Looks for jobs of a run that wait or run; Slurm is asked every other second at most."""

    def __init__(
        self, run: RunDirectory, evaluation: str, patience: float = _SILENT_SECONDS
    ) -> None:
        self._run, self._evaluation, self._patience = run, evaluation, patience
        self._queue, self._asked = Queue(run), -math.inf
        self._heads: dict[Head, None] = {}
        self._cancelling = _Cancelling()

    def __call__(self) -> Iterator[Remain]:
        if not self._evaluation:
            # One that has left the run has a table to print before it ends.
            working = [*heads(self._run), *followers(self._run)]
            self._heads.update((head, None) for head in working if head.job)
            yield from (_head(head) for head in self._heads if head.lives)
        if time.monotonic() - self._asked > _QUEUE_SECONDS:
            self._queue, self._asked = Queue(self._run), time.monotonic()
        if not self._evaluation:
            jobs = self._queue.live()
        elif (mine := self._queue.of(self._evaluation)) and mine.lives:
            jobs = [mine]
        else:
            return
        self._cancelling.jobs = [job.id for job in jobs if not self._hosts(job)]
        for job in jobs:
            if self._hosts(job):
                yield from self._within(job)
                continue
            what = ", ".join(job.names[:3]) + (", …" if len(job.names) > 3 else "")
            text = f"{job} ({what})"
            if CONTROLLER.silent_seconds > self._patience or CONTROLLER.is_spent:
                why = self._queue.silent or "Slurm does not answer"
                text = f"Slurm job {job.id} ({what}), perhaps: {why}"
                yield Remain(f"Slurm {job.id}", text, fate=Fate.UNKNOWN)
                continue
            yield Remain(f"Slurm {job.id}", text, self._cancelling.acts(job.id))

    def _hosts(self, job: SlurmJob) -> bool:
        """Whether a job also has other evaluations than the one to stop."""
        return bool(self._evaluation) and job.names != (self._evaluation,)

    def _within(self, job: SlurmJob) -> Iterator[Remain]:
        """The evaluation's process on the node of an allocation; its lease names it."""
        with contextlib.suppress(OSError, ValueError):
            holder = self._run.evaluation(self._evaluation).holder()
            if holder and holder.lives is None:
                text = f"process {holder.pid} on {holder.host} ({self._evaluation})"
                order = partial(commands.terminate, job.id, holder.host, holder.pid)
                yield Remain(f"{holder.host} {holder.pid}", text, (order, order, None))


class _Cancelling:
    """Cancels the jobs of a run with one call for each act, whichever job's act comes first.

    Attributes:
        jobs: the jobs that a look has found.
    """

    _OPTIONS = ((), (), ("--signal=KILL", "--full"))

    def __init__(self) -> None:
        self.jobs: Sequence[str] = ()
        self._done: set[tuple[str, int]] = set()

    def acts(self, job: str) -> tuple[Act, Act, Act]:
        """Return the acts of one job: each is one for all jobs that are as far."""
        return (partial(self._act, job, 0), partial(self._act, job, 1), partial(self._act, job, 2))

    def _act(self, job: str, number: int) -> None:
        if (job, number) in self._done:
            return  # with another job's
        ready = [each for each in self.jobs if not number or (each, number - 1) in self._done]
        self._done.update((each, number) for each in ready)
        commands.cancel(ready, *self._OPTIONS[number])


def _head(head: Head) -> Remain:
    # Its script passes SIGINT to Snakemake, which cancels its jobs.
    ask = partial(commands.cancel, (head.job,), "--signal=INT", "--batch")
    end = partial(commands.cancel, (head.job,))
    return Remain(f"head {head.job}", f"Snakemake (Slurm job {head.job})", (ask, end, end))
