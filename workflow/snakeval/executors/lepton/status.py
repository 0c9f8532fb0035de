"""What Lepton is at for a run: one list of jobs, and one of endpoints where some are noted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snakeval.errors import EvaluationError
from snakeval.executors.lepton import need_library, stopped_by_hand
from snakeval.executors.lepton.notes import Noted, Notes

if TYPE_CHECKING:
    from snakeval.executors.lepton.api import Job, Platform

#: Which of several jobs of an evaluation is told of.
_WORTH = ("Running", "Completed")


@dataclass(frozen=True, slots=True)
class Watched:
    """The state of an evaluation on Lepton (see :mod:`snakeval.watch.state`), with details."""

    state: str
    reason: str
    job: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint of a run.

    Attributes:
        name: as ``lep endpoint list`` prints it.
        state: of the platform; ``gone``, or ``unknown`` where it cannot be asked.
        ready, wanted: replicas; None where that is not known.
        reason: why it cannot be known.
        time_out: seconds without a request after which the platform scales it to zero.
        served: whether its model has answered, ever.
    """

    model: str
    name: str
    state: str
    ready: int | None = None
    wanted: int | None = None
    reason: str = ""
    time_out: int | None = None
    served: bool = False

    def __str__(self) -> str:
        """Say what is to be known of it."""
        if self.state == "unknown":
            told = f"unknown, {self.reason}"
        elif self.ready is None:
            told = self.state
        else:
            told = f"{self.state}, {self.ready} of {self.wanted} replicas ready"
        return f"endpoint {self.name} of {self.model}: {told}"

    @property
    def costs(self) -> bool:
        """Whether something of it may run."""
        return self.state not in ("gone", "unknown") and self.wanted != 0


class Watch:
    """What Lepton has of *run*. Nothing is asked of a run that has nothing there."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._silent = ""  # why jobs could not be asked for

    def of(self, evaluation: str, has_head: bool) -> Watched | None:
        """Return how far Lepton is with an evaluation, if it has a job of it."""
        if (told := self._jobs.get(evaluation)) is not None:
            return _of_job(told, has_head)
        if evaluation not in self._submitted:
            return None
        if self._silent:
            return Watched("unknown", self._silent)
        if stopped_by_hand.by_hand(self._run, evaluation):
            return Watched("interrupted", "it was ended by `snakeval kill`")
        return None

    def deploying(self, model: str) -> Endpoint | None:
        """Return the endpoint of a model, if there is one that is not ready yet."""
        return next((e for e in self.endpoints if e.model == model and not e.served), None)

    @cached_property
    def endpoints(self) -> list[Endpoint]:
        """The endpoints that are noted for the run, as they are."""
        noted = Notes(self._run).all()
        return self._look(noted) if noted else []

    @cached_property
    def _submitted(self) -> set[str]:
        files = self._run.glob("*/*/evaluation.json.job")
        return {f"{file.parent.parent.name}/{file.parent.name}" for file in files}

    @cached_property
    def _jobs(self) -> dict[str, Job]:
        if not self._submitted:
            return {}
        try:
            jobs = self._platform.jobs_of(self._run.name)
        except EvaluationError as error:
            self._silent = f"Lepton cannot be asked: {error}"
            return {}
        rank = {state: number for number, state in enumerate(_WORTH)}
        jobs.sort(key=lambda job: (not job.lives, rank.get(job.state, len(rank))), reverse=True)
        return {job.evaluation: job for job in jobs}

    def _look(self, noted: list[Noted]) -> list[Endpoint]:
        _ = self._jobs  # a platform that does not tell of them is not asked again
        silent = self._silent
        try:
            if not silent:
                found = self._platform.endpoints()
                return [self._endpoint(each, found) for each in noted]
        except EvaluationError as error:
            silent = f"Lepton cannot be asked: {error}"
        return [Endpoint(each.model, each.name, "unknown", reason=silent) for each in noted]

    def _endpoint(self, noted: Noted, found: dict[str, Any]) -> Endpoint:
        from snakeval.executors.lepton.api import state_of, wanted_replicas

        # A second look: lists leave out what the library cannot read.
        there = found.get(noted.name) or self._platform.endpoint(noted.name)
        if there is None:
            return Endpoint(noted.model, noted.name, "gone")
        scaler = there.spec.auto_scaler if there.spec else None
        down = scaler.scale_down if scaler else None
        return Endpoint(
            noted.model,
            noted.name,
            state_of(there),
            self._platform.ready_replicas(there),
            wanted_replicas(there),
            time_out=down.no_traffic_timeout if down else None,
            served=bool(noted.url),
        )

    @cached_property
    def _platform(self) -> Platform:
        need_library()
        from snakeval.executors.lepton.api import Platform

        return Platform(backoff=(0.5,), timeout=10)


def _of_job(job: Job, has_head: bool) -> Watched:
    if job.lives:
        return Watched("running" if job.state == "Running" else "waiting", str(job), job.id)
    if has_head:
        return Watched("waiting", f"{job}, to be collected", job.id)
    return Watched("interrupted", f"{job}, and the next start collects it", job.id)
