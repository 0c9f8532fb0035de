"""Counts the events of a run: totals for each model, the jobs at work, the time that is left.

This module knows no terminal and no Snakemake: the logger calls it with events, and the display
asks it for numbers.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import mean

from snakeval.evaluation import events
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.events import Event
from snakeval.run.directory import RunDirectory
from snakeval.serving.directory import DeploymentDirectory

#: A rate is over what was seen in so many looks, one a second.
_LOOKS = 30
#: From so many seconds on an average says something.
_ENOUGH_SECONDS = 2.0


@dataclass
class Job:
    """An evaluation or a deployment that works now."""

    name: str
    directory: EvaluationDirectory | DeploymentDirectory
    since: float
    doing: str = ""
    looks: deque[tuple[float, int, int | None]] = field(
        default_factory=lambda: deque(maxlen=_LOOKS)
    )

    def look(self, now: float, requests: tuple[int, int | None] | None, doing: str) -> None:
        """Note how far it is *now*."""
        self.doing = doing
        if requests is None or (self.looks and requests[0] < self.looks[-1][1]):
            self.looks.clear()  # another bar began
        if requests is not None:
            self.looks.append((now, *requests))

    @property
    def deploys(self) -> bool:
        """Whether it starts a model's server."""
        return isinstance(self.directory, DeploymentDirectory)

    @property
    def id(self) -> str:
        """``model/benchmark``, or ``model/deployment``."""
        return self.directory.name

    @property
    def events(self) -> list[Event]:
        """The events of its directory, without the uses of harnesses and servers."""
        return [event for event in events.read(self.directory.events) if not event.use]

    @property
    def adopted(self) -> bool:
        """Whether it only published an earlier completion."""
        last = events.last(self.events)
        return last is not None and last.phase == "adopted"

    @property
    def requests(self) -> tuple[int, int | None] | None:
        """Requests done, and of how many where that is known."""
        return self.looks[-1][1:] if self.looks else None

    @property
    def rate(self) -> float | None:
        """Requests a second, where they move."""
        if not self.looks:
            return None
        (first, before, _), (last, done, _) = self.looks[0], self.looks[-1]
        if last - first < _ENOUGH_SECONDS or done == before:
            return None
        return (done - before) / (last - first)

    @property
    def left(self) -> float | None:
        """Seconds that its requests still take, where both their number and rate are known."""
        if not (self.requests and self.requests[1] and self.rate):
            return None
        return (self.requests[1] - self.requests[0]) / self.rate


@dataclass(frozen=True)
class Model:
    """How many of a model's evaluations are in which state."""

    name: str
    total: int
    done: int
    failed: int
    running: int


class Tally:
    """Counts events. May be used by several threads.

    *evaluations* are those of this invocation, as ``model/benchmark``, and *missing* are those of
    them that have no result yet. *expect* returns how long one took in earlier runs, or None.
    """

    def __init__(
        self,
        run: RunDirectory,
        evaluations: Iterable[str],
        missing: Iterable[str],
        deployments: int = 0,
        expect: Callable[[str], float | None] = lambda name: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run, self._expect, self._clock = run, expect, clock
        self._lock = threading.RLock()
        to_do = frozenset(missing)
        self._states = {name: "pending" if name in to_do else "done" for name in evaluations}
        self._models: dict[str, Counter[str]] = {}
        for name, state in self._states.items():
            self._models.setdefault(_model(name), Counter())[state] += 1
        self._jobs: dict[int, Job] = {}
        self._took: defaultdict[str, list[float]] = defaultdict(list)
        self._loads: list[float] = []
        self._deployments = deployments
        self._refused: set[str] = set()
        self._busy = 0.0
        self._counted: list[Model] | None = None
        self.started = clock()

    # --- events -----------------------------------------------------------------------------

    def start(self, jobid: int, model: str, part: str, *, deploys: bool = False) -> None:
        """A job begins, perhaps again.

        *part* is a benchmark; of a job that *deploys*, the name of the deployment.
        """
        name = model if deploys else f"{model}/{part}"
        directory = (
            DeploymentDirectory.of(self._run, model, DeploymentDirectory.number(part))
            if deploys
            else self._run.evaluation(name)
        )
        with self._lock:
            self._jobs[jobid] = Job(name, directory, self._clock())
            self._counted = None
            if deploys:
                self._refused.discard(name)
            else:
                self._set(name, "running")

    def finish(self, jobid: int) -> None:
        """A job is done."""
        with self._lock:
            if (job := self._jobs.pop(jobid, None)) is None:
                return
            seconds = self._clock() - job.since
            if job.deploys:
                self._deployments -= 1
                self._loads.append(seconds)
                return
            self._set(job.name, "done")
            # How long publishing an earlier completion takes says nothing of the evaluation.
            if not job.adopted:
                self._busy += seconds
                self._took[_benchmark(job.name)].append(seconds)

    def fail(self, jobid: int) -> Job | None:
        """A job failed; return it."""
        with self._lock:
            if (job := self._jobs.pop(jobid, None)) is None:
                return None
            self._counted = None
            if job.deploys:
                self._deployments -= 1
                self._refused.add(job.name)
            else:
                self._busy += self._clock() - job.since
                self._set(job.name, "failed")
            return job

    def _set(self, name: str, state: str) -> None:
        self._counted = None
        counts = self._models.setdefault(_model(name), Counter())
        if before := self._states.get(name):
            counts[before] -= 1
        counts[state] += 1
        self._states[name] = state

    # --- questions --------------------------------------------------------------------------

    def jobs(self) -> list[Job]:
        """Return the jobs at work: servers that load first, then evaluations, the oldest first."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: (not job.deploys, job.since))

    def models(self) -> list[Model]:
        """Each model: first those that work, then those with something to do."""
        with self._lock:
            if self._counted is None:
                models = [self._count(name, counts) for name, counts in self._models.items()]
                ended = {model.name: model.done + model.failed >= model.total for model in models}
                self._counted = sorted(models, key=lambda m: (not m.running, ended[m.name]))
            return self._counted

    def _count(self, name: str, counts: Counter[str]) -> Model:
        # If a model has no server, its evaluations never start.
        lost = counts["pending"] if name in self._refused else 0
        total = counts.total()
        return Model(name, total, counts["done"], counts["failed"] + lost, counts["running"])

    def remaining(self) -> float | None:
        """Estimate how many seconds are left; None if too little is known.

        The estimate adds up the durations of earlier runs and of this one, or the pace of requests.
        It divides the sum by how many evaluations ran side by side so far.
        """
        with self._lock:
            now = self._clock()
            if self._deployments and not self._loads:
                return None
            work = longest = self._deployments * mean(self._loads or [0])
            took = [seconds for benchmark in self._took.values() for seconds in benchmark]
            usual = mean(took) if took else None
            for name, state in self._states.items():
                if state == "pending" and _model(name) not in self._refused:
                    if (seconds := self._seconds(name, usual)) is None:
                        return None
                    work, longest = work + seconds, max(longest, seconds)
            busy = self._busy
            for job in self._jobs.values():
                if job.deploys:
                    continue
                busy += now - job.since
                left, seconds = job.left, self._seconds(job.name, usual)
                if left is None and seconds is None:
                    return None
                if left is None:
                    # An estimate for a late job: it needs as long again as it is late.
                    left = abs((seconds or 0) - (now - job.since))
                work, longest = work + left, max(longest, left)
            elapsed = now - self.started
            if elapsed < _ENOUGH_SECONDS:
                return None
            return max(longest, work / max(1.0, busy / elapsed))

    def _seconds(self, name: str, usual: float | None) -> float | None:
        """Return how long an evaluation takes: by this run, else by earlier runs, else *usual*."""
        if here := self._took.get(_benchmark(name)):
            return sum(here) / len(here)
        before = self._expect(name)
        return before if before is not None else usual


def _model(name: str) -> str:
    return name.partition("/")[0]


def _benchmark(name: str) -> str:
    return name.partition("/")[2]
