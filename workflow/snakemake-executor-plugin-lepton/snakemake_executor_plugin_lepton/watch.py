"""Watches jobs: reads their states, and ends jobs that would never end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from logging import Logger

from leptonai.api.v2.types.job import LeptonJob

from snakemake_executor_plugin_lepton import failure, identity
from snakemake_executor_plugin_lepton.service import Service
from snakemake_executor_plugin_lepton.settings import ExecutorSettings
from snakemake_executor_plugin_lepton.states import GONE, QUEUED, Reading, read, state_of
from snakemake_executor_plugin_lepton.tracked import Tracked

#: The longest pause between two checks of a job's events, and the number of jobs per check.
_EVENTS_EVERY = 30.0
_EVENTS_JOBS = 5


class Watch:
    """Watches the jobs *tracked* of a run. *head* is the id of this head."""

    def __init__(
        self,
        service: Service,
        settings: ExecutorSettings,
        run: str,
        head: str,
        tracked: Mapping[str, Tracked],
        logger: Logger,
    ) -> None:
        self._service = service
        self._settings = settings
        self._run = run
        self._head = head
        self._tracked = tracked
        self._logger = logger

    def look(self, tracked: list[Tracked]) -> None:
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
        self._limit_waits(item, now)
        if item.state == "Running":
            item.ran, item.old_warnings = True, None
            item.running_since = item.running_since or now
            limit = item.task.runtime
            if limit and now - item.running_since > limit + self._settings.runtime_grace:
                item.overdue = True
                self._service.stop(item.place.job)
        elif not item.reading.ended and item.state not in ("Stopping", "Terminating"):
            item.running_since = None  # preempted: its time starts again
        if item.broken:
            item.reading = Reading.FAILED

    def _limit_waits(self, item: Tracked, now: float) -> None:
        """End a job that waits for a node, or that starts, for longer than the settings allow."""
        starting, queued = item.state == "Starting", item.state in QUEUED
        item.starting_since = (item.starting_since or now) if starting else None
        item.queued_since = (item.queued_since or now) if queued else None
        for since, limit, what in (
            (item.starting_since, self._settings.start_limit, "it has been starting"),
            (item.queued_since, self._settings.queue_limit, "it has waited for a node"),
        ):
            if since is not None and limit > 0 and now - since > limit:
                item.broken = f"{what} for {limit} s"

    def _look_at_events(self, tracked: list[Tracked], now: float) -> None:
        """Detect an image that cannot be pulled, instead of waiting forever."""
        starting = [item for item in tracked if item.reading is Reading.STARTING]
        for item in starting:
            item.events_at = item.events_at or now + item.events_pause
        stuck = [item for item in starting if item.events_at <= now]
        for item in sorted(stuck, key=lambda item: item.events_at)[:_EVENTS_JOBS]:
            item.events_pause = min(2 * item.events_pause, _EVENTS_EVERY)
            item.events_at = now + item.events_pause
            counts = failure.warnings(self._service.events(item.place.job))
            if item.ran and item.old_warnings is None:
                item.old_warnings = counts
            if reason := failure.hopeless(counts - (item.old_warnings or Counter())):
                item.broken = reason
                item.reading = Reading.FAILED

    def _drop_doubles(self, found: list[LeptonJob]) -> None:
        """Delete a duplicate that a late request created: it has the same attempt and hash."""
        names = {item.name: item.place.job for item in self._tracked.values()}
        for job in found:
            mine = names.get(str(job.metadata.name))
            own = (job.metadata.labels or {}).get(identity.HEAD) == self._head
            if own and mine and mine != job.metadata.id_ and state_of(job) not in GONE:
                self._logger.warning(f"Lepton: deletes {job.metadata.id_}, a duplicate of {mine}.")
                self._service.delete(str(job.metadata.id_))
