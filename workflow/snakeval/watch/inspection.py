"""Determines how far each evaluation of a run is, from evidence alone.

The evidence is the evaluation's directory (lease, record, failure, attempt), the processes of this
machine, and the servers of the pool. An evaluation counts as running only if its process is known
to live. If this machine has no evidence for or against that, the state is "unknown".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any

from snakeval.evaluation import events
from snakeval.evaluation.directory import Attempt, EvaluationDirectory, Incomplete, Kind
from snakeval.evaluation.events import Event
from snakeval.evaluation.record import Metric, headline
from snakeval.executors.base import Job, Jobs, JobState
from snakeval.lease import Holder
from snakeval.ledger.plain_text import visible
from snakeval.run.directory import RunDirectory
from snakeval.run.heads import heads
from snakeval.run.plan import Planned
from snakeval.serving.directory import undeployed
from snakeval.watch.state import State

#: How long a job may take from giving its lease back to leaving the reason of its failure.
_ENDING_SECONDS = 0.3
#: A lease of another host that is older than so many heartbeats is looked at twice.
_LATE = 2.5
#: The phases of a live attempt before its harness runs, and the state that they are.
_BEFORE = {
    "waiting": "waiting", "begun": "deploying", "deploying": "deploying", "lost": "deploying",
}  # fmt: skip
#: The phases in which a server that the attempt asks answers.
_SERVED = ("serving", "preparing", "running", "ended", "reading")


class Inspection:
    """One inspection of a run. Calling it with an evaluation returns its state.

    ``doubts`` maps each evaluation that needs a second look to the seconds to wait before it. In
    a second look, *first* is the inspection that had the doubts.
    """

    def __init__(
        self, run: RunDirectory, jobs: Mapping[str, Jobs], first: Inspection | None = None
    ) -> None:
        self._run = run
        self.jobs = jobs
        self._first = first
        self._beats: dict[str, int] = {}
        self.doubts: dict[str, float] = {}

    def __call__(self, item: Planned) -> State:
        """Return the state of the evaluation *item*, with visible texts."""
        found = self._found(item)
        texts = f"{found.reason}{found.metric}{found.warning}"
        if visible(texts) == texts:
            return found
        reason, metric, warning = map(visible, (found.reason, found.metric, found.warning))
        return replace(found, reason=reason, metric=metric, warning=warning)

    def _found(self, item: Planned) -> State:
        state = partial(State, item.model, item.benchmark)
        if item.left_out:
            return state("skipped", item.left_out)
        try:
            if item.same_as:
                twin = replace(item, model=item.same_as, same_as="")
                found = self._state(twin, self._run.evaluation(twin.id))
                return replace(found, model=item.model)
            return self._state(item, self._run.evaluation(item.id))
        except OSError as error:
            return state("unknown", f"{error.filename} cannot be read ({error.strerror})")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return state("unknown", f"its files are damaged: {error!s:.400}")

    def _state(self, item: Planned, directory: EvaluationDirectory) -> State:
        found = self._by_files(item, directory)
        if found.state == "done":
            return found
        for title, jobs in self.jobs.items():
            if (job := jobs.of(found.id)) is not None:
                found = replace(found, job=job.id, scheduler=title if job.id else "")
                if found.active:
                    return found
                if not job.state.lives and (serves := self._served_later(found)):
                    return serves
                return self._with_job(found, job)
        return found if found.active else self._served_later(found) or found

    def _with_job(self, found: State, job: Job) -> State:
        """Combine what the files show of an evaluation at which nothing works with its job."""
        to = partial(replace, found)
        if job.state is JobState.UNKNOWN:
            return to(state="unknown", reason=job.text)
        if job.state is JobState.STOPPED:
            return to(state="interrupted", reason=job.text)
        if job.state is JobState.UNCOLLECTED:
            if self._has_head:
                return to(state="waiting", reason=f"{job.text}, to be collected")
            return to(state="interrupted", reason=f"{job.text}, and the next start collects it")
        if job.state.lives and found.state != "unknown":
            return to(state=str(job.state), reason=job.text)
        if found.state in ("interrupted", "unknown") and not job.state.lives:
            again = "; it is submitted again" if self._has_head else ""
            return to(state="interrupted", reason=f"{job.text}{again}")
        if found.state == "pending" and job.state is JobState.LOST:
            return to(reason=job.text)
        return to(job="", scheduler="")

    def _served_later(self, found: State) -> State | None:
        """Return the state of an evaluation that waits for a server, which starts now."""
        if found.state not in ("pending", "interrupted", "failed"):
            return None
        for name in self._asking.get(found.id, ()):
            for jobs in self.jobs.values():
                if (starts := jobs.deploying(name)) is not None:
                    return replace(found, state=starts[0], reason=starts[1])
        return None

    def _by_files(self, item: Planned, directory: EvaluationDirectory) -> State:
        found = directory.find_record(item.fingerprint)
        if isinstance(found, Incomplete):
            # The lease before the record: a job writes its record before it gives its lease back.
            holder = directory.holder()
            found = directory.find_record(item.fingerprint)
        if not isinstance(found, Incomplete):
            return _done(item, found, directory)
        attempt = directory.read_attempt()
        state = partial(State, item.model, item.benchmark, attempts=attempt.number)
        if holder is not None:
            lives, why = self._lives(directory, holder)
            if lives:
                return self._live(state, directory, holder, attempt)
            if lives is None:
                return state("unknown", why, host=holder.host, pid=holder.pid)
        if found.kind is Kind.UNREADABLE:
            return state("unknown", found.reason)
        same = attempt.fingerprint == item.fingerprint
        failure = directory.read_failure()
        mine = same or not attempt.number
        if failure is not None and (mine or failure.get("fingerprint") == item.fingerprint):
            took = _seconds(attempt.started, failure.get("time"))
            return state("failed", str(failure["reason"]), elapsed=took)
        if reason := self._undeployed.get(item.id):
            return state("failed", reason)
        if found.kind in (Kind.ARTIFACTS, Kind.DAMAGED):
            return state("pending", f"{found.reason}; the next start evaluates it again")
        if not same:
            changed = attempt.number or found.kind is Kind.OTHER_DEFINITION
            return state("pending", "its definition was changed" if changed else "")
        if holder is None and self._first is None and self._has_head:
            # It may be about to leave the reason of its failure, or have begun just now.
            self.doubts[item.id] = _ENDING_SECONDS
        how = "its job was stopped or killed"
        if holder is not None:
            how = f"its job (process {holder.pid} on {holder.host}) is gone"
        runtime, container = _where(directory, attempt, _events(directory, attempt))
        return state("interrupted", how, runtime=runtime, container=container)

    def _live(
        self,
        state: partial[State],
        directory: EvaluationDirectory,
        holder: Holder,
        attempt: Attempt,
    ) -> State:
        name, why, requests, replayed = "running", "", None, 0
        happened = _events(directory, attempt)
        if directory.name in self._asking:
            name, why = _of_server(happened)
        if name == "running":
            from snakeval.evaluation.progress import requests as requests_of
            from snakeval.evaluation.requests import read as counts_of
            from snakeval.evaluation.requests import waiting

            why = waiting(directory)
            requests = requests_of(directory)
            replayed = sum(each.replayed for each in counts_of(directory).values())
        runtime, container = _where(directory, attempt, happened)
        return state(
            name,
            why,
            elapsed=_seconds(attempt.started, datetime.now(UTC).isoformat()),
            host=holder.host,
            pid=holder.pid,
            runtime=runtime,
            container=container,
            requests=requests,
            replayed=replayed,
        )

    def _lives(self, directory: EvaluationDirectory, holder: Holder) -> tuple[bool | None, str]:
        """Whether the holder lives; and why that cannot be known."""
        name = directory.name
        if (lives := holder.lives) is not None:
            return lives, ""
        # A live holder renews its lease: its count has risen since the first look, or the renewal
        # is recent by the file server's clock.
        self._beats[name] = holder.beat
        before = self._first._beats.get(name) if self._first else None
        if before is not None and before != holder.beat:
            return True, ""
        heartbeat, stale = directory.lease_times()
        age = None if self._now is None else self._now - holder.renewed
        if age is not None and age > stale:
            return False, ""
        if age is not None and age < _LATE * heartbeat:
            return True, ""
        self.doubts[name] = min(heartbeat + 1, 10)
        since = "" if age is None else f" for {age:.0f} s"
        return None, f"process {holder.pid} on {holder.host} gave no sign of life{since}"

    # --- what is looked up once -----------------------------------------------------------

    @cached_property
    def _now(self) -> float | None:
        return self._run.file_time()

    @cached_property
    def _has_head(self) -> bool:
        return bool(heads(self._run))

    @cached_property
    def _asking(self) -> dict[str, list[str]]:
        """Evaluation -> the deployments that it asks."""
        asking: dict[str, list[str]] = {}
        for deployment, evaluation in self._run.deployed():
            asking.setdefault(evaluation, []).append(deployment)
        return asking

    @cached_property
    def _undeployed(self) -> dict[str, str]:
        return undeployed(self._run)


def _done(item: Planned, record: Mapping[str, Any], directory: EvaluationDirectory) -> State:
    """Return the state of a finished evaluation. Runs have thousands, so it builds no record."""
    done = State(
        item.model,
        item.benchmark,
        "done",
        attempts=int(record["attempt"]),
        elapsed=record["seconds"] + 0.0,
        host=str(record["host"]),
        runtime=str(record["runtime"]),
    )
    if best := headline(record):
        score = Metric.from_dict(best)
        name = f"{score.metric} ({score.filter})" if score.filter else score.metric
        done = replace(done, metric=name, value=score.value, stderr=score.stderr)
    if recorded := record.get("health"):
        from snakeval.results.health import recorded_answers

        answers, warning = recorded_answers(directory, record["model"], recorded)
        rates = answers.requests_per_second, answers.tokens_per_second
        done = replace(
            done, warning=warning, requests_per_second=rates[0], tokens_per_second=rates[1]
        )
    return done


def _seconds(started: object, ended: object) -> float | None:
    if not (started and isinstance(started, str) and isinstance(ended, str)):
        return None
    between = datetime.fromisoformat(ended) - datetime.fromisoformat(started)
    return max(0.0, round(between.total_seconds(), 1))


def _events(directory: EvaluationDirectory, attempt: Attempt) -> list[Event]:
    """Return the events of an attempt."""
    found = events.read(directory.events)
    return [event for event in found if event.attempt == attempt.number]


def _where(
    directory: EvaluationDirectory, attempt: Attempt, happened: Sequence[Event]
) -> tuple[str, str]:
    """Return the runtime of an attempt and its container, by its first event."""
    if began := events.last(happened, 0, "begun"):
        return began.runtime, began.container
    if happened:
        return "", ""
    from snakeval.watch import old_runs

    return old_runs.runtime(directory, attempt.number)


def _of_server(happened: Sequence[Event]) -> tuple[str, str]:
    """Return the state of a live attempt whose model snakeval serves, and how far the server is."""
    last = events.last(happened, 0, *_BEFORE, *_SERVED)
    if last is None or last.phase in _SERVED:
        return "running", ""
    return _BEFORE[last.phase], "" if last.phase == "begun" else last.detail
