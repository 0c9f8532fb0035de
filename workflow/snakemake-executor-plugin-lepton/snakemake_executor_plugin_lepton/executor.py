"""The executor: submits, polls, collects and cancels jobs.

A lost head loses no work. The next head finds its jobs by their labels, continues with the live
jobs and collects the finished ones.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface
from snakemake_interface_executor_plugins.settings import DeploymentMethod

from snakemake_executor_plugin_lepton import deletion, here, identity
from snakemake_executor_plugin_lepton.check import refusal
from snakemake_executor_plugin_lepton.collection import DONE_ALREADY, Collection
from snakemake_executor_plugin_lepton.errors import LeptonError, ServiceError, TaskError
from snakemake_executor_plugin_lepton.heads import Heads
from snakemake_executor_plugin_lepton.here import LocalJob
from snakemake_executor_plugin_lepton.leases import Leases
from snakemake_executor_plugin_lepton.pause import pause
from snakemake_executor_plugin_lepton.resources import before, lease_of
from snakemake_executor_plugin_lepton.resources import here as command_here
from snakemake_executor_plugin_lepton.service import Service
from snakemake_executor_plugin_lepton.submission import Submission
from snakemake_executor_plugin_lepton.task import Tasks
from snakemake_executor_plugin_lepton.tracked import Outcome, Tracked
from snakemake_executor_plugin_lepton.transport import choose, told
from snakemake_executor_plugin_lepton.watch import Watch

#: Snakemake's own directory. A run's working directory is its identity.
PRIVATE = Path(".snakemake/lepton")

#: How many jobs are collected at the same time.
_COLLECTORS = 4
#: How many seconds a cancellation waits for a submission under way.
_CANCEL_PATIENCE = 10.0


class Executor(RemoteExecutor):  # type: ignore[misc]
    """Runs each job of the workflow as a Lepton job."""

    def __init__(self, workflow: Any, logger: Any) -> None:
        # The base class starts the polling thread, which uses this.
        self._over = threading.Event()
        super().__init__(workflow, logger)

    def __post_init__(self) -> None:
        """Check everything that would fail every job, and find the jobs of a lost head."""
        settings = self.workflow.executor_settings
        self._private = PRIVATE.absolute()
        self._tracked: dict[str, Tracked] = {}
        self._local: list[LocalJob] = []
        self._cancelled = threading.Event()
        self._leases = Leases()
        self._final: dict[str, str] = {}  #: by target: why no attempt can succeed
        #: Held while a job is submitted. Again by the same thread, if a signal interrupts it.
        self._submitting = threading.RLock()
        self._denied: ServiceError | None = None
        try:
            self._service = Service(
                settings.workspace, settings.url, timeout=settings.request_timeout
            )
            self._service.check()
            self._transport = choose(settings, self._service)
            self._transport.check()
            self._run = identity.run_id(self._private)
            self._heads = Heads(self._private / "heads")
            self._collection = Collection(
                self._service, self._transport, self._private, settings, self.logger
            )
            self._submission = Submission(
                self._service,
                self._transport,
                self._collection,
                settings,
                self._run,
                self._heads,
                self._private,
                self.logger,
            )
        except LeptonError as error:
            raise WorkflowError(str(error)) from None
        #: Why no job can be submitted. Jobs of this machine may be for these, and do not start.
        self._refusal = refusal(settings, self._service)
        #: The settings that commands on this machine read, as variables.
        self._told = {
            "LEPTON_INPUT_CAP": str(self._transport.input_cap),
            "LEPTON_NODE_GROUP": settings.node_group or "",
            **told(settings),
        }
        if limits := self._transport.limits:
            self.logger.warning(f"Lepton: {limits}.")
        self._watch = Watch(
            self._service, settings, self._run, self._heads.id, self._tracked, self.logger
        )
        self._tasks = Tasks(
            settings,
            self._run,
            self.envvars(),
            DeploymentMethod.CONDA in self.workflow.deployment_settings.deployment_method,
        )

    # Submission

    def run_job(self, job: JobExecutorInterface) -> None:
        """Submit a job, or wait until the head that works at its outputs has ended."""
        try:
            if self._refusal:
                raise TaskError(self._refusal)
            if command := command_here(job):
                self._run_here(job, command)
                return
            lease = lease_of(job, self._private)
            if holder := self._leases.take(lease):
                self.logger.info(f"Lepton: {job}: waits for {holder}, which works at its outputs.")
                self.report_job_submission(SubmittedJobInfo(job, aux={"waits": lease}))
                return
            info = self._begin(job, lease)
        except LeptonError as error:
            self._report_refused(SubmittedJobInfo(job), error)
            return
        self.report_job_submission(info)

    def _begin(self, job: Any, lease: Path) -> SubmittedJobInfo:
        """Submit a job whose lease this head has, or continue with the one of an earlier head."""
        with self._submitting:
            try:
                if self._cancelled.is_set():
                    raise TaskError("the run was cancelled")
                if self._is_done_before(job):
                    self._leases.release(lease)
                    return SubmittedJobInfo(job, aux={"done": True})
                task = self._tasks.task(job)
                if problem := self._final.get(task.target):
                    raise TaskError(f"another attempt would fail like the last one: {problem}")
                if not self._leases.holds(lease):
                    raise TaskError("another head has taken its lease; give the same command again")
                tracked = self._submission.submit(job, task)
            except BaseException:
                self._leases.release(lease)
                raise
            tracked.lease = lease
            self._tracked[tracked.place.job] = tracked
            return tracked.info

    def _report_refused(self, info: SubmittedJobInfo, error: LeptonError) -> None:
        if isinstance(error, ServiceError) and error.denied:
            raise WorkflowError(str(error)) from None
        end = "" if isinstance(error, ServiceError) else "."
        self.report_job_error(info, msg=f"Lepton: {error}{end} ")

    def _run_here(self, job: Any, command: str) -> None:
        log = self._collection.log(job.rule.name, f"here-{job.jobid}")
        made = LocalJob(command, log, self._told)
        self._local.append(made)
        made.start()
        self.report_job_submission(SubmittedJobInfo(job, aux={"local": made}))

    def _is_done_before(self, job: Any) -> bool:
        """Run the rule's command on this machine; return whether the outputs already exist."""
        command = before(job)
        if command is None:
            return False
        code, tail = here.run(command, self._told)
        if code not in (0, DONE_ALREADY):
            raise TaskError(f"lepton_before exited with {code}:\n{tail}\n")
        return code == DONE_ALREADY

    # Polling

    async def check_active_jobs(
        self, active_jobs: list[SubmittedJobInfo]
    ) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Poll all jobs by one list, and collect those that have ended."""
        for info in active_jobs:
            if "waits" in (info.aux or {}):
                if (begun := await asyncio.to_thread(self._look_again, info)) is not None:
                    yield begun
            elif info.external_jobid is None and not self._report_here(info):
                yield info
        active_jobs = [info for info in active_jobs if info.external_jobid is not None]
        if not active_jobs:
            return
        tracked = [self._tracked[str(info.external_jobid)] for info in active_jobs]
        async with self.status_rate_limiter:
            try:
                await asyncio.to_thread(self._watch.look, tracked)
            except ServiceError as error:
                if error.denied:
                    # The live jobs keep running, and the next head collects them.
                    raise WorkflowError(
                        f"{error} Jobs keep running. Run the same command to continue with them."
                    ) from None
                self.logger.warning(f"Lepton: {error} Trying again.")
                for info in active_jobs:
                    yield info
                return
        slots = asyncio.Semaphore(_COLLECTORS)

        async def outcome(item: Tracked) -> Outcome | None:
            if not item.reading.ended:
                return None
            async with slots:
                return await asyncio.to_thread(self._collection.collect, item)

        outcomes = await asyncio.gather(*(outcome(item) for item in tracked))
        for item, ended in zip(tracked, outcomes, strict=True):
            if ended is None:
                yield item.info
                continue
            self._tracked.pop(item.place.job, None)
            self._heads.forget(item.place.job)
            if ended.final:
                self._final[item.task.target] = ended.final
            if item.lease is not None:
                self._leases.release(item.lease)
            if ended.failure is None:
                self.report_job_success(item.info)
            else:
                self.report_job_error(item.info, msg=ended.failure, aux_logs=list(ended.logs))

    async def sleep(self) -> None:
        """Wait until the next poll is due or the run ends."""
        await pause(self.next_seconds_between_status_checks, self._over)

    def _look_again(self, info: SubmittedJobInfo) -> SubmittedJobInfo | None:
        """Begin a job that waits for another head, if that one has ended; None if it is over."""
        lease: Path = info.aux["waits"]
        if self._cancelled.is_set() or self._leases.take(lease):
            return info
        try:
            return self._begin(info.job, lease)
        except LeptonError as error:
            self._report_refused(info, error)
            return None

    def _report_here(self, info: SubmittedJobInfo) -> bool:
        """Report an ended job of this machine; return whether it has ended."""
        made: LocalJob | None = info.aux.get("local")
        code = made.poll() if made else 0
        if code is None:
            return False
        if made:
            self._local.remove(made)
        if code == 0:
            self.report_job_success(info)
        else:
            logs = [str(made.log)] if made else []
            text = f"Its command on this machine ended with exit code {code}. "
            self.report_job_error(info, msg=text, aux_logs=logs)
        return True

    # The end

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        """Delete all jobs of this run, and look again until there are none.

        The jobs of another live Snakemake in the same directory stay.
        """
        # active_jobs is not enough. A submission may have been interrupted after its request, and a
        # poll empties the list while it runs.
        self._cancelled.set()
        # A submission of the other thread ends first, if the service answers soon.
        if self._submitting.acquire(timeout=_CANCEL_PATIENCE):
            self._submitting.release()
        for made in self._local:
            made.stop()
        # Look twice: an interrupted request may reach the service after the first look.
        self._clean_up(looks=2)

    def shutdown(self) -> None:
        """End the run; if it is complete, delete unused jobs of an earlier head."""
        self._over.set()
        super().shutdown()
        if not self._cancelled.is_set() and self._all_done():
            self._clean_up()

    def _all_done(self) -> bool:
        dag = self.workflow.dag
        return not self._tracked and all(dag.finished(job) for job in dag.needrun_jobs())

    def _clean_up(self, looks: int = 1) -> None:
        # An interrupted submission has adopted a job that is not tracked yet.
        own = {*self._tracked, *self._heads.adopted()}
        left = deletion.delete_all(
            self._service, self._run, self._submission, self.logger, looks, own
        )
        if not left:
            self._leases.release_all()
            self._heads.leave()
