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
from snakemake_executor_plugin_lepton.script import render
from snakemake_executor_plugin_lepton.service import Service
from snakemake_executor_plugin_lepton.settings import ExecutorSettings
from snakemake_executor_plugin_lepton.spec import Workspace, definition
from snakemake_executor_plugin_lepton.states import GONE, Reading, read, state_of
from snakemake_executor_plugin_lepton.task import Task
from snakemake_executor_plugin_lepton.tracked import Tracked
from snakemake_executor_plugin_lepton.transport import Place, Transport


class Submission:
    """Submits the tasks of a run. *head* is the id of this head."""

    def __init__(
        self,
        service: Service,
        transport: Transport,
        collection: Collection,
        settings: ExecutorSettings,
        run: str,
        head: str,
        private: Path,
        logger: Logger,
    ) -> None:
        self._service = service
        self._transport = transport
        self._collection = collection
        self._settings = settings
        self._run = run
        self._head = head
        self._private = private
        self._logger = logger
        self._workspace = Workspace(service)
        self._left = self._find_left()
        if self._left:
            logger.info(f"Lepton: found {len(self._left)} jobs of an earlier head.")

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
            self._logger.info(f"Lepton: {what} {tracked.name} of an earlier head.")
            return tracked
        # The next attempt may resume from its files.
        self._collection.bring_back(tracked)
        self._collection.remove(tracked)
        return None

    def _create(self, job: Any, task: Task, key: str, inputs: Path | None) -> Tracked:
        attempt = int(job.attempt)
        name = identity.job_name(self._settings.name_prefix, task.rule, self._run, key, attempt)
        shipment = self._transport.ship(identity.place_key(self._run, key, attempt), inputs)
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
                labels=identity.labels(self._run, key, attempt, task.rule, self._head),
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
        place = Place(identity.place_key(self._run, key, attempt), job_id, created)
        info = SubmittedJobInfo(job, external_jobid=job_id)
        return Tracked(info, task, place, str(made.metadata.name or job_id))
