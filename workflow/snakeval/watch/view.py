"""The view that ``status`` prints and refreshes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from snakeval.executors.base import Endpoint
from snakeval.run import heads as index_heads
from snakeval.run.directory import RunDirectory
from snakeval.run.heads import Head
from snakeval.run.target import Target
from snakeval.watch.spending import Part, as_data, spending
from snakeval.watch.state import STATES, State
from snakeval.watch.states import jobs_of, states

#: How often a watched run is looked at, in seconds.
_WATCH_SECONDS = 2.0


#: A watched run may be idle for this many looks, because Snakemake takes a while to start.
_IDLE_LOOKS = 3


@dataclass(frozen=True, slots=True)
class View:
    """One look at a run, or at a part of it."""

    target: Target
    heads: list[Head]
    states: list[State]
    endpoints: list[Endpoint]
    notices: tuple[str, ...] = ()
    budget: tuple[Part, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing will happen any more."""
        to_do = [s for s in self.states if s.state in ("pending", "interrupted", "unknown")]
        return not any(state.active for state in self.states) and not any(
            head.lives or to_do for head in self.heads
        )

    @property
    def finished(self) -> bool:
        """Whether it ended with nothing left to do."""
        return self.ended and all(state.state in ("done", "skipped") for state in self.states)

    @property
    def counts(self) -> str:
        """``3 of 6 done, 1 running, 2 pending``."""
        found = Counter(state.state for state in self.states)
        planned = len(self.states) - found["skipped"]
        others = [f"{found[state]} {state}" for state in STATES[1:] if found[state]]
        if warned := sum(bool(state.warning) for state in self.states):
            others.append(f"{warned} with a warning")
        return ", ".join([f"{found['done']} of {planned} done", *others])

    @property
    def who(self) -> str:
        """Who works at it."""
        here = [head for head in self.heads if head.lives]
        parts = [f"{self._what(head)} (process {head.pid})" for head in here]
        parts += [
            f"started on {head.host} (process {head.pid}), of which nothing is known here"
            for head in self.heads
            if head.lives is None
        ]
        to_do = {"pending", "interrupted", "failed"} & {state.state for state in self.states}
        if not parts and any(state.active for state in self.states):
            parts = ["no Snakemake runs"]
        elif not parts and to_do:
            parts = [f"nothing runs; `snakeval resume {self.target.entry.id}` does the rest"]
        return "; ".join(parts)

    def _what(self, head: Head) -> str:
        if not head.follows:
            return "Snakemake runs"
        waits = index_heads.is_waiting(self.target.run, head)
        return f"a follower {'waits for the other one' if waits else 'works'}"

    @property
    def served(self) -> list[str]:
        """The endpoints of its models, and who ends those that no Snakemake will end."""
        alone = not any(head.lives or head.lives is None for head in self.heads)
        lines = []
        for endpoint in self.endpoints:
            left = ""
            if alone and endpoint.costs:
                limit = endpoint.time_out
                after = (
                    f", or {endpoint.executor} after {limit} s without a request" if limit else ""
                )
                left = f"; it is left: `snakeval kill {self.target.entry.id}` ends it{after}"
            lines.append(f"{endpoint}{left}")
        return lines

    def as_dict(self) -> dict[str, Any]:
        """Return it for programs."""
        entry = self.target.entry
        return {
            "id": entry.id,
            "name": entry.name,
            "directory": entry.directory,
            "heads": [
                {"host": head.host, "pid": head.pid, "lives": head.lives} for head in self.heads
            ],
            "ended": self.ended,
            "evaluations": [asdict(state) for state in self.states],
            "endpoints": [asdict(endpoint) for endpoint in self.endpoints],
            "notices": list(self.notices),
            **({"budget": as_data([*self.budget])} if self.budget else {}),
        }


def look(which: Target, before: View | None = None) -> View:
    """Read the state of one target."""
    # Heads first. Otherwise a head that ends in between would make its run look interrupted.
    heads = index_heads.workers(which.run)
    jobs = jobs_of(which.run)
    found = states(which.run, before.states if before else (), only=which.covers, jobs=jobs)
    served = [
        endpoint
        for each in jobs.values()
        for endpoint in each.endpoints()
        if which.model in ("", endpoint.model)
    ]
    notices = tuple(line for each in jobs.values() for line in each.notices())
    notices += _alarms(which.run)
    return View(which, heads, found, served, notices, tuple(spending(which.run)))


def _alarms(run: RunDirectory) -> tuple[str, ...]:
    if not run.alarms.exists():
        return ()
    from snakeval.run import alarms

    return tuple(alarms.recent(run.alarms))


def said(state: State) -> str:
    """Say what to know of an evaluation: its score and warning, its requests, or a reason."""
    if state.value is not None:
        from snakeval.evaluation.amounts import rates_text

        error = "" if state.stderr is None else f" ± {state.stderr:.4f}"
        score = f"{state.metric} {state.value:.4f}{error}"
        rates = rates_text(state.requests_per_second, state.tokens_per_second)
        warning = f"; warning: {state.warning}" if state.warning else ""
        return f"{score}{', ' if rates else ''}{rates}{warning}"
    if state.requests is not None:
        done, total = state.requests
        text = f"{done} / {total} requests" if total is not None else f"{done} requests"
        replayed = f"{state.replayed} from the journal" if state.replayed else ""
        return ", ".join(filter(None, (text, replayed, state.reason)))
    return state.reason


def looks(targets: Sequence[Target]) -> Iterator[list[View]]:
    """Look again and again, until all have ended."""
    views = [look(each) for each in targets]
    yield views
    idle = 0
    while not all(view.finished for view in views) and idle < _IDLE_LOOKS:
        time.sleep(_WATCH_SECONDS)
        views = [look(view.target, view) for view in views]
        idle = idle + 1 if all(view.ended for view in views) else 0
        yield views
