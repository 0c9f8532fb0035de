"""Submits a task: as a new job, or by continuing with a job of an earlier head."""

from __future__ import annotations

import time
from logging import Logger
from pathlib import Path
from typing import Any

from leptonai.api.v2.types.job import LeptonJob
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from snakemake_executor_plugin_lepton import archive, identity, options
from snakemake_executor_plugin_lepton.collection import Collection
from snakemake_executor_plugin_lepton.errors import TaskError
from snakemake_executor_plugin_lepton.heads import Heads
from snakemake_executor_plugin_lepton.script import render
from snakemake_executor_plugin_lepton.service import Service
from snakemake_executor_plugin_lepton.settings import ExecutorSettings
from snakemake_executor_plugin_lepton.spec import Workspace, definition
from snakemake_executor_plugin_lepton.states import GONE, Reading, read, state_of
from snakemake_executor_plugin_lepton.task import Task
from snakemake_executor_plugin_lepton.tracked import Tracked
from snakemake_executor_plugin_lepton.transport import Place, Transport

#: Which of several jobs of one definition counts: a finished one, then a live one.
_WORTH = {Reading.FAILED: 0, Reading.DONE: 2}


class Submission:
    """Submits the tasks of a run. *heads* are those that share the run; one is this head."""

    def __init__(
        self,
        service: Service,
        transport: Transport,
        collection: Collection,
        settings: ExecutorSettings,
        run: str,
        heads: Heads,
        private: Path,
        logger: Logger,
    ) -> None:
        self._service = service
        self._transport = transport
        self._collection = collection
        self._settings = settings
        self._run = run
        self._heads = heads
        self._private = private
        self._logger = logger
        self._workspace = Workspace(service)

    def submit(self, job: Any, task: Task) -> Tracked:
        """Continue with the same job of an earlier head, or create a job.

        Raises:
            TaskError, ServiceError, TransportError: it cannot be submitted.
        """
        outbox = self._private / "outbox"
        outbox.mkdir(parents=True, exist_ok=True)
        file = outbox / f"{job.jobid}.tgz"
        try:
            lacking = [t.local for t in task.inputs if not t.local.exists()]
            optional = {t.local for t in task.outputs}
            if lacking := [path for path in lacking if path not in optional]:
                raise TaskError(f"its input {lacking[0]} does not exist")
            inputs = [t for t in task.inputs if t.local.exists()]
            own = [t for t in inputs if not task.resumes_from(t)]
            content = archive.pack(own, file) if own else ""
            key = identity.job_hash(
                task.rule, task.command, task.image, task.env, task.secrets,
                [str(m) for m in task.mounts], [str(t) for t in task.outputs], task.then, content,
            )  # fmt: skip
            if adopted := self._adopt(job, task, key):
                return adopted
            # A failed job may have just sent what this one resumes from.
            inputs = [t for t in task.inputs if t.local.exists()]
            if inputs != own:
                archive.pack(inputs, file)
                size, cap = file.stat().st_size, self._transport.input_cap
                if cap and size > cap:
                    self._logger.warning(
                        f"Lepton: {job}: starts from the beginning: what it would resume from has "
                        f"{size} bytes packed, and a job takes {cap} without --lepton-s3-prefix."
                    )
                    inputs = own
                    if own:
                        archive.pack(own, file)
            return self._create(job, task, key, file if inputs else None)
        finally:
            file.unlink(missing_ok=True)

    def _adopt(self, job: Any, task: Task, key: str) -> Tracked | None:
        """Continue with the job of an earlier head, or make way for a new one.

        The caller has the lease of the task, so no other head works with its jobs.
        """
        # A dead head may have submitted it from another working directory.
        query = identity.selector(output=task.output)
        if task.is_first:
            query = identity.selector(self._run, target=task.target)
        found = self._service.jobs(query)
        there = [left for left in found if state_of(left) not in GONE]
        same = [left for left in there if (left.metadata.labels or {}).get(identity.JOB) == key]
        for left in there:
            if left not in same and not read(left).ended and not self.is_of_another(left):
                self._logger.info(f"Lepton: deletes {left.metadata.id_} of an earlier definition.")
                self._service.delete(str(left.metadata.id_))
        if not same:
            return None
        best = max(same, key=lambda left: _WORTH.get(read(left), 1))
        attempt = int((best.metadata.labels or {}).get(identity.ATTEMPT, "1"))
        tracked = self._track(job, task, best, key, attempt)
        reading = read(best)
        if reading is not Reading.FAILED:
            what = "collects" if reading.ended else "continues with"
            # The note is first, because a Ctrl-C in the next line deletes what is noted.
            self._heads.adopt(tracked.place.job)
            self._logger.info(f"Lepton: {what} {tracked.name} of an earlier head.")
            return tracked
        # The next attempt may resume from its files.
        self._collection.bring_back(tracked)
        self._collection.remove(tracked)
        return None

    def is_of_another(self, job: LeptonJob) -> bool:
        """Whether a job belongs to another live head."""
        label = (job.metadata.labels or {}).get(identity.HEAD)
        return self._heads.is_another(self._heads.owner(str(job.metadata.id_), label))

    def _create(self, job: Any, task: Task, key: str, inputs: Path | None) -> Tracked:
        attempt = int(job.attempt)
        name = identity.job_name(self._settings.name_prefix, task.rule, self._run, key, attempt)
        shipment = self._transport.ship(
            identity.place_key(self._run, key, attempt), inputs, task.choice
        )
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
                labels=identity.labels(
                    self._run, key, attempt, task.rule, self._heads.id, task.target, task.output
                ),
                script=script,
                shipment=shipment,
                workspace=self._workspace,
                pull_secrets=options.names(self._settings.image_pull_secrets),
            ),
            identity.selector(self._run, key),
        )
        page = self._service.job_page(str(created.metadata.id_))
        self._logger.info(f"Lepton: job {created.metadata.id_} ({task.image}), {page}")
        return self._track(job, task, created, key, attempt)

    def _track(self, job: Any, task: Task, made: LeptonJob, key: str, attempt: int) -> Tracked:
        job_id = str(made.metadata.id_)
        created = int((made.metadata.created_at or time.time() * 1000) * 10**6)
        run = (made.metadata.labels or {}).get(identity.RUN) or self._run
        place = Place(identity.place_key(run, key, attempt), job_id, created)
        info = SubmittedJobInfo(job, external_jobid=job_id)
        return Tracked(info, task, place, str(made.metadata.name or job_id))
