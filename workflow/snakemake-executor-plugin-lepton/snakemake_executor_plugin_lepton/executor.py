"""The executor: submits, polls, collects and cancels jobs.

A lost head loses no work. The next head finds its jobs by their labels, continues with the live
jobs and collects the finished ones.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leptonai.api.v2.types.job import LeptonJob
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface
from snakemake_interface_executor_plugins.settings import DeploymentMethod

from snakemake_executor_plugin_lepton import archive, failure, here, identity, options
from snakemake_executor_plugin_lepton.errors import (
    LeptonError,
    ServiceError,
    TaskError,
    TransportError,
)
from snakemake_executor_plugin_lepton.heads import Heads
from snakemake_executor_plugin_lepton.here import LocalJob
from snakemake_executor_plugin_lepton.receipt import Receipt
from snakemake_executor_plugin_lepton.script import render
from snakemake_executor_plugin_lepton.service import Service
from snakemake_executor_plugin_lepton.spec import Workspace, definition
from snakemake_executor_plugin_lepton.states import GONE, Reading, read, state_of
from snakemake_executor_plugin_lepton.task import Task, Tasks, before
from snakemake_executor_plugin_lepton.task import here as command_here
from snakemake_executor_plugin_lepton.transport import Place, choose

#: Snakemake's own directory. A run's working directory is its identity.
PRIVATE = Path(".snakemake/lepton")

#: Seconds until the first check of the events of a job that does not start (the pause doubles each
#: time), the longest pause, and the number of jobs per check.
_EVENTS_FIRST = 2.0
_EVENTS_EVERY = 30.0
_EVENTS_JOBS = 5
_COLLECTORS = 4
#: The exit code by which lepton_before reports existing outputs, so that no job is needed.
DONE_ALREADY = 100
_CANCEL_ROUNDS = 5


@dataclass(slots=True)
class Tracked:
    """The state of one job as this head knows it."""

    info: SubmittedJobInfo
    task: Task
    place: Place
    name: str
    reading: Reading = Reading.LIVE
    state: str = "new"
    running_since: float | None = None
    unknown_since: float | None = None
    ended_since: float | None = None
    events_at: float = 0.0  #: time of the next check of its events; 0: not seen starting yet
    events_pause: float = _EVENTS_FIRST
    missing: int = 0  #: consecutive polls in which the service did not know it
    broken: str | None = None  #: why this head ends it, though the service would continue
    overdue: bool = False  #: this head stopped it, because it outlived its runtime


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a job for Snakemake; a failure has a text."""

    failure: str | None = None
    logs: tuple[str, ...] = ()


class Executor(RemoteExecutor):  # type: ignore[misc]
    """Runs each job of the workflow as a Lepton job."""

    def __post_init__(self) -> None:
        """Check everything that would fail every job, and find the jobs of a lost head."""
        settings = self.workflow.executor_settings
        self._settings = settings
        self._private = PRIVATE.absolute()
        self._tracked: dict[str, Tracked] = {}
        self._local: list[LocalJob] = []
        self._cancelled = threading.Event()
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
            self._left = self._find_left()
        except LeptonError as error:
            raise WorkflowError(str(error)) from None
        self._workspace = Workspace(self._service)
        self._tasks = Tasks(
            settings,
            self._run,
            self.envvars(),
            DeploymentMethod.CONDA in self.workflow.deployment_settings.deployment_method,
        )
        if self._left:
            self.logger.info(f"Lepton: found {len(self._left)} jobs of an earlier head.")

    def _find_left(self) -> dict[str, LeptonJob]:
        """Map each job hash to its most useful job: a live one, else a finished one."""
        worth = {Reading.FAILED: 0, Reading.DONE: 2}
        found: dict[str, LeptonJob] = {}
        for job in self._service.jobs(identity.selector(self._run)):
            if state_of(job) in GONE:
                continue  # collected and deleted, or expired
            key = str((job.metadata.labels or {}).get(identity.JOB))
            other = found.get(key)
            if other is None or worth.get(read(job), 1) > worth.get(read(other), 1):
                found[key] = job
        return found

    # Submission

    def run_job(self, job: JobExecutorInterface) -> None:
        """Submit a job, or continue with the job that a lost head submitted."""
        try:
            if command := command_here(job):
                self._run_here(job, command)
                return
            if self._is_done_before(job):
                self.report_job_submission(SubmittedJobInfo(job, aux={"done": True}))
                return
            task = self._tasks.task(job)
            tracked = self._submit(job, task)
        except TaskError as error:
            self.report_job_error(SubmittedJobInfo(job), msg=f"Lepton: {error}. ")
            return
        except ServiceError as error:
            if error.denied:
                raise WorkflowError(str(error)) from None
            self.report_job_error(SubmittedJobInfo(job), msg=f"Lepton: {error} ")
            return
        except TransportError as error:
            self.report_job_error(SubmittedJobInfo(job), msg=f"Lepton: {error}. ")
            return
        self._tracked[tracked.place.job] = tracked
        self.report_job_submission(tracked.info)

    def _run_here(self, job: Any, command: str) -> None:
        log = self._private / "logs" / _file_name(job.rule.name) / f"here-{job.jobid}.log"
        made = LocalJob(command, log)
        self._local.append(made)
        made.start()
        self.report_job_submission(SubmittedJobInfo(job, aux={"local": made}))

    def _is_done_before(self, job: Any) -> bool:
        """Run the rule's command on this machine; return whether the outputs already exist."""
        command = before(job)
        if command is None:
            return False
        code, tail = here.run(command)
        if code not in (0, DONE_ALREADY):
            raise TaskError(f"lepton_before exited with {code}:\n{tail}\n")
        return code == DONE_ALREADY

    def _submit(self, job: Any, task: Task) -> Tracked:
        outbox = self._private / "outbox"
        outbox.mkdir(parents=True, exist_ok=True)
        file = outbox / f"{job.jobid}.tgz"
        try:
            lacking = [t.local for t in task.inputs if not t.local.exists()]
            optional = {t.local for t in task.outputs}
            if lacking := [path for path in lacking if path not in optional]:
                raise TaskError(f"its input {lacking[0]} does not exist")
            inputs = [t for t in task.inputs if t.local.exists()]
            content = archive.pack(inputs, file) if inputs else ""
            key = identity.job_hash(
                task.rule, task.command, task.image, task.env, task.secrets,
                [str(m) for m in task.mounts], [str(t) for t in task.outputs], task.then, content,
            )  # fmt: skip
            if adopted := self._adopt(job, task, key):
                return adopted
            return self._create(job, task, key, file if inputs else None)
        finally:
            file.unlink(missing_ok=True)

    def _adopt(self, job: Any, task: Task, key: str) -> Tracked | None:
        left = self._left.pop(key, None)
        if left is None:
            return None
        attempt = int((left.metadata.labels or {}).get(identity.ATTEMPT, "1"))
        tracked = self._track(job, task, left, key, attempt)
        reading = read(left)
        if reading is not Reading.FAILED:
            what = "collects" if reading.ended else "continues with"
            self.logger.info(f"Lepton: {what} {tracked.name} of an earlier head.")
            return tracked
        # The next attempt may resume from its files.
        self._bring_back(tracked)
        self._remove(tracked)
        return None

    def _create(self, job: Any, task: Task, key: str, inputs: Path | None) -> Tracked:
        attempt = int(job.attempt)
        name = identity.job_name(self._settings.name_prefix, task.rule, self._run, key, attempt)
        shipment = self._transport.ship(_place_key(self._run, key, attempt), inputs)
        script = render(
            command=task.command,
            work=task.work,
            box=task.work.with_name(task.work.name + ".box"),
            fetch=shipment.fetch,
            send=shipment.send,
            outputs=(transfer.remote for transfer in task.outputs),
            runtime=task.runtime,
        )
        created = self._service.create(
            definition(
                task,
                name=name,
                labels=identity.labels(self._run, key, attempt, task.rule, self._heads.id),
                script=script,
                shipment=shipment,
                workspace=self._workspace,
                pull_secrets=options.names(self._settings.image_pull_secrets),
            ),
            identity.selector(self._run, key),
        )
        self.logger.info(
            f"Lepton: job {created.metadata.id_} ({task.image}), {self._job_page(created)}"
        )
        return self._track(job, task, created, key, attempt)

    def _track(self, job: Any, task: Task, made: LeptonJob, key: str, attempt: int) -> Tracked:
        job_id = str(made.metadata.id_)
        created = int((made.metadata.created_at or time.time() * 1000) * 10**6)
        place = Place(_place_key(self._run, key, attempt), job_id, created)
        info = SubmittedJobInfo(job, external_jobid=job_id)
        return Tracked(info, task, place, str(made.metadata.name or job_id))

    def _job_page(self, job: LeptonJob) -> str:
        return f"{self._service.console}/compute/jobs/detail/{job.metadata.id_}/replicas/list"

    # Polling

    async def check_active_jobs(
        self, active_jobs: list[SubmittedJobInfo]
    ) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Poll all jobs by one list, and collect those that have ended."""
        for info in active_jobs:
            if info.external_jobid is None and not self._report_here(info):
                yield info
        active_jobs = [info for info in active_jobs if info.external_jobid is not None]
        if not active_jobs:
            return
        tracked = [self._tracked[str(info.external_jobid)] for info in active_jobs]
        async with self.status_rate_limiter:
            try:
                await asyncio.to_thread(self._look, tracked)
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
                return await asyncio.to_thread(self._collect, item)

        outcomes = await asyncio.gather(*(outcome(item) for item in tracked))
        for item, ended in zip(tracked, outcomes, strict=True):
            if ended is None:
                yield item.info
                continue
            self._tracked.pop(item.place.job, None)
            if ended.failure is None:
                self.report_job_success(item.info)
            else:
                self.report_job_error(item.info, msg=ended.failure, aux_logs=list(ended.logs))

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

    def _look(self, tracked: list[Tracked]) -> None:
        """Update the known states by one list, and by single requests for exceptional jobs."""
        wanted = frozenset(item.place.job for item in tracked)
        found = self._service.jobs(identity.selector(self._run), wanted)
        jobs = {str(job.metadata.id_): job for job in found}
        self._drop_doubles(found)
        now = time.monotonic()
        for item in tracked:
            # Read the job again: lists leave out the values that the SDK cannot parse.
            job = jobs.get(item.place.job) or self._service.job(item.place.job)
            if job is None:
                item.missing += 1
                item.state = "gone"
                if item.missing > 1:
                    item.reading = Reading.FAILED
                continue
            item.missing = 0
            item.state = state_of(job)
            item.reading = read(job)
            self._watch(item, now)
        self._look_at_events(tracked, now)

    def _watch(self, item: Tracked, now: float) -> None:
        """End a job that would never end."""
        if item.reading is Reading.UNKNOWN:
            item.unknown_since = item.unknown_since or now
            if now - item.unknown_since > max(self._settings.unknown_grace, 0):
                grace = self._settings.unknown_grace
                item.broken = f"it has a state that this plugin does not know, for {grace} s"
        else:
            item.unknown_since = None
        if item.state == "Running":
            item.running_since = item.running_since or now
            limit = item.task.runtime
            if limit and now - item.running_since > limit + self._settings.runtime_grace:
                item.overdue = True
                self._service.stop(item.place.job)
        elif not item.reading.ended and item.state not in ("Stopping", "Terminating"):
            item.running_since = None  # preempted: its time starts again
        if item.broken:
            item.reading = Reading.FAILED

    def _look_at_events(self, tracked: list[Tracked], now: float) -> None:
        """Detect an image that cannot be pulled, instead of waiting forever."""
        starting = [item for item in tracked if item.reading is Reading.STARTING]
        for item in starting:
            item.events_at = item.events_at or now + item.events_pause
        stuck = [item for item in starting if item.events_at <= now]
        for item in sorted(stuck, key=lambda item: item.events_at)[:_EVENTS_JOBS]:
            item.events_pause = min(2 * item.events_pause, _EVENTS_EVERY)
            item.events_at = now + item.events_pause
            if reason := failure.hopeless(self._service.events(item.place.job)):
                item.broken = reason
                item.reading = Reading.FAILED

    def _drop_doubles(self, found: list[LeptonJob]) -> None:
        """Delete a duplicate that a late request created: it has the same attempt and hash."""
        names = {item.name: item.place.job for item in self._tracked.values()}
        for job in found:
            mine = names.get(str(job.metadata.name))
            own = (job.metadata.labels or {}).get(identity.HEAD) == self._heads.id
            if own and mine and mine != job.metadata.id_ and state_of(job) not in GONE:
                self.logger.warning(f"Lepton: deletes {job.metadata.id_}, a duplicate of {mine}.")
                self._service.delete(str(job.metadata.id_))

    # Collecting

    def _collect(self, item: Tracked) -> Outcome | None:
        """Fetch the files and delete the job; None if it is too early."""
        item.ended_since = item.ended_since or time.monotonic()
        patient = time.monotonic() - item.ended_since < self._settings.patience
        receipt = None
        try:
            receipt = self._transport.receipt(item.place)
            if receipt is None and item.reading is Reading.DONE and patient:
                return None
            problem = self._publish(item, receipt)
            log = self._save_log(item)
        except LeptonError as error:
            if patient:
                self.logger.warning(f"Lepton: {item.name}: {error}. Trying again.")
                return None
            problem = f"{error}"
            log = None
        problem = self._then(item, receipt, problem, log)
        told = None
        if problem is not None:
            told = failure.text(
                job=item.place.job,
                state=item.state,
                problem=problem,
                log=log.read_text(encoding="utf-8", errors="replace") if log else "",
                events=self._events(item),
                console=f"{self._service.console}/compute/jobs/detail/{item.place.job}/replicas/list",
            )
        self._remove(item)
        return Outcome(told, (str(log),) if log else ())

    def _publish(self, item: Tracked, receipt: Receipt | None) -> str | None:
        """Publish the files; return the job's problem, or None."""
        if receipt is not None and receipt.size:
            inbox = self._private / "inbox"
            inbox.mkdir(parents=True, exist_ok=True)
            file = inbox / f"{item.name}.tgz"
            try:
                self._transport.fetch(item.place, receipt, file)
                archive.verify(file, receipt)
                left_out = archive.publish(file, item.task.outputs, self._private)
            finally:
                file.unlink(missing_ok=True)
            if left_out:
                self.logger.warning(
                    f"Lepton: {item.name}: left out {len(left_out)} links or special files that "
                    f"point out of their directory ({left_out[0]}, …)."
                )
        return failure.problem(
            receipt=receipt,
            done=item.reading is Reading.DONE,
            broken=item.broken,
            overdue=item.overdue,
            runtime=item.task.runtime,
        )

    def _bring_back(self, item: Tracked) -> None:
        """Fetch the files that a failed job of a lost head left, if they exist."""
        try:
            self._publish(item, self._transport.receipt(item.place))
        except LeptonError as error:
            self.logger.warning(f"Lepton: {item.name}: {error}.")

    def _save_log(self, item: Tracked) -> Path | None:
        """Save the job's log on this machine, because the service deletes it with the job."""
        lines = self._service.log(item.place.job, item.place.created - 3600 * 10**9)
        log = self._private / "logs" / _file_name(item.task.rule) / f"{item.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(failure.readable(line.text for line in lines), encoding="utf-8")
        return log

    def _events(self, item: Tracked) -> list[tuple[str, str, int]]:
        try:
            return self._service.events(item.place.job)
        except ServiceError:
            return []  # the events are only an explanation

    def _then(
        self, item: Tracked, receipt: Receipt | None, problem: str | None, log: Path | None
    ) -> str | None:
        """Run the rule's command on this machine; return the job's problem, or None."""
        if item.task.then is None:
            return problem
        told = {
            "LEPTON_JOB": item.place.job,
            "LEPTON_PROBLEM": problem or "",
            "LEPTON_EXIT_CODE": str(receipt.exit) if receipt else "",
            "LEPTON_SECONDS": str(receipt.seconds) if receipt else "",
            "LEPTON_LOG": str(log or ""),
        }
        code, tail = here.run(item.task.then, told)
        if problem:
            return f"{problem}. {tail}".strip() if code else problem
        if code == 0:
            return None
        return f"lepton_then exited with {code} on this machine:\n{tail}"

    def _remove(self, item: Tracked) -> None:
        """Delete a collected job and its files in transit; the end of the run retries a failure."""
        try:
            self._service.delete(item.place.job)
            self._transport.clear(item.place.key)
        except LeptonError as error:
            self.logger.warning(f"Lepton: {error}")

    # The end

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        """Delete all jobs of this run, and look again until there are none.

        The jobs of another live Snakemake in the same directory stay.
        """
        # active_jobs is not enough. A submission may have been interrupted after its request, and a
        # poll empties the list while it runs.
        self._cancelled.set()
        for made in self._local:
            made.stop()
        # Look twice: an interrupted request may reach the service after the first look.
        self._clean_up(looks=2)

    def shutdown(self) -> None:
        """End the run; if it is complete, delete unused jobs of an earlier head."""
        super().shutdown()
        if not self._cancelled.is_set() and self._all_done():
            self._clean_up()

    def _all_done(self) -> bool:
        dag = self.workflow.dag
        return not self._tracked and all(dag.finished(job) for job in dag.needrun_jobs())

    def _clean_up(self, looks: int = 1) -> None:
        """Delete jobs until this number of consecutive looks has found none."""
        left: list[str] = []
        for round_ in range(_CANCEL_ROUNDS):
            try:
                left = [
                    str(job.metadata.id_)
                    for job in self._service.jobs(identity.selector(self._run))
                    if state_of(job) not in GONE
                    and not self._heads.is_another((job.metadata.labels or {}).get(identity.HEAD))
                ]
                looks -= not left
                if looks == 0:
                    self._heads.leave()
                    return
                for job_id in left:
                    self._service.delete(job_id)
            except ServiceError as error:
                self.logger.warning(f"Lepton: {error}")
            time.sleep(0.5 * 2**round_)
        self.logger.error(
            f"Lepton: {len(left)} jobs may still run: {' '.join(left[:20])}. "
            "See `lep job list`, and end them with `lep job remove -i ID`."
        )


def _place_key(run: str, job: str, attempt: int) -> str:
    return f"{run[:8]}-{job[:20]}-{attempt}"


def _file_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "-", text)[:100]
