"""Collects ended jobs: fetches their files and logs, then deletes the jobs."""

from __future__ import annotations

import re
import time
from logging import Logger
from pathlib import Path

from snakemake_executor_plugin_lepton import archive, failure, here
from snakemake_executor_plugin_lepton.errors import LeptonError, ServiceError, TransportError
from snakemake_executor_plugin_lepton.receipt import Receipt
from snakemake_executor_plugin_lepton.service import Service
from snakemake_executor_plugin_lepton.settings import ExecutorSettings
from snakemake_executor_plugin_lepton.states import Reading
from snakemake_executor_plugin_lepton.tracked import Outcome, Tracked
from snakemake_executor_plugin_lepton.transport import Transport, told

#: The exit code by which a command on this machine reports that the outputs exist.
DONE_ALREADY = 100


class Collection:
    """Collects jobs into this machine's directory *private*."""

    def __init__(
        self,
        service: Service,
        transport: Transport,
        private: Path,
        settings: ExecutorSettings,
        logger: Logger,
    ) -> None:
        self._service = service
        self._transport = transport
        self._private = private
        self._patience = settings.patience
        self._logger = logger
        self._told = told(settings)

    def log(self, rule: str, name: str) -> Path:
        """Return the path of a job's log on this machine."""
        return self._private / "logs" / re.sub(r"[^A-Za-z0-9_.-]", "-", rule)[:100] / f"{name}.log"

    def collect(self, item: Tracked) -> Outcome | None:
        """Fetch the files and delete the job; None if it is too early."""
        item.ended_since = item.ended_since or time.monotonic()
        patient = time.monotonic() - item.ended_since < self._patience
        receipt, final = None, False
        try:
            receipt = self._transport.receipt(item.place)
            if receipt is None and item.reading is Reading.DONE and patient:
                return None
            problem = self._publish(item, receipt)
            log = self._save_log(item)
        except LeptonError as error:
            final = isinstance(error, TransportError) and not error.passes
            if patient and not final:
                self._logger.warning(f"Lepton: {item.name}: {error}. Trying again.")
                return None
            problem = f"{error}"
            log = None
        problem = self._then(item, receipt, problem, log)
        text = None
        if problem is not None:
            text = failure.text(
                job=item.place.job,
                state=item.state,
                problem=problem,
                log=log.read_text(encoding="utf-8", errors="replace") if log else "",
                events=self._events(item),
                console=self._service.job_page(item.place.job),
            )
        self.remove(item)
        return Outcome(text, (str(log),) if log else (), problem or "" if final else "")

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
            if receipt.left:
                self._logger.warning(
                    f"Lepton: {item.name}: {receipt.left} files stay behind, because they do not "
                    "fit its log. Use --lepton-s3-prefix or --lepton-mount for all files."
                )
            if left_out:
                self._logger.warning(
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

    def bring_back(self, item: Tracked) -> None:
        """Fetch the files that a failed job of a lost head left, if they exist."""
        try:
            self._publish(item, self._transport.receipt(item.place))
        except LeptonError as error:
            self._logger.warning(f"Lepton: {item.name}: {error}.")

    def _save_log(self, item: Tracked) -> Path | None:
        """Save the job's log on this machine, because the service deletes it with the job."""
        lines = self._service.log(item.place.job, item.place.created - 3600 * 10**9)
        log = self.log(item.task.rule, item.name)
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
        variables = {
            **self._told,
            "LEPTON_JOB": item.place.job,
            "LEPTON_PROBLEM": problem or "",
            "LEPTON_EXIT_CODE": str(receipt.exit) if receipt else "",
            "LEPTON_SECONDS": str(receipt.seconds) if receipt else "",
            "LEPTON_LOG": str(log or ""),
        }
        code, tail = here.run(item.task.then, variables)
        if code == DONE_ALREADY:
            return None
        if problem:
            return f"{problem}. {tail}".strip() if code else problem
        if code == 0:
            return None
        return f"lepton_then exited with {code} on this machine:\n{tail}"

    def remove(self, item: Tracked) -> None:
        """Delete a collected job and its files in transit; the end of the run retries a failure."""
        try:
            self._service.delete(item.place.job)
            self._transport.clear(item.place.key)
        except LeptonError as error:
            self._logger.warning(f"Lepton: {error}")
