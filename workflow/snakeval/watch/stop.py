"""Stops what a run still has running, whatever executor has it, and looks whether it is gone."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from snakeval import executors
from snakeval.errors import EvaluationError
from snakeval.executors.base import Fate, Remain, Stage, Stopping
from snakeval.run import heads
from snakeval.run.directory import RunDirectory
from snakeval.run.target import Target
from snakeval.watch.state import State
from snakeval.watch.states import states


@dataclass(frozen=True, slots=True)
class Patience:
    """How long each act may take to show, in seconds.

    Attributes:
        grace: after something was asked to end: longer than a harness's and a server's own grace
            together.
        step: after the next, harder act.
        settle: after the last act. On a busy machine, even a killed process needs a moment.
        look: the longest pause between two looks.
    """

    grace: float = 30.0
    step: float = 10.0
    settle: float = 10.0
    look: float = 0.3


#: The first pause between two looks; the next are longer.
_FIRST_LOOK_SECONDS = 0.03


@dataclass(slots=True)
class Stopped:
    """The result of a stop.

    Attributes:
        left: sentences on what is left, or may be.
        was_any: whether there was anything to stop.
        silent: container engines that did not answer.
    """

    left: list[str] = field(default_factory=list)
    was_any: bool = False
    silent: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Killed:
    """The state of a target after a stop.

    Attributes:
        after: the states of its evaluations.
        left: sentences on what is left, or may be.
        was_any: whether there was anything to stop.
    """

    after: list[State]
    left: list[str]
    was_any: bool


@dataclass(slots=True)
class _Seen:
    """The acts on a remain so far: how many, and when the next one is due."""

    remain: Remain
    acts: int = 0
    due: float = 0.0
    problem: str = ""

    def act(self, patience: Patience) -> None:
        """Do the next act, and wait for what it does: never two acts at one look."""
        remain = self.remain
        waits = (patience.grace, patience.step, remain.patience or patience.settle)
        act = remain.acts[self.acts]
        is_last = not any(remain.acts[self.acts + 1 :])
        wait = waits[self.acts]
        if is_last:  # without any act, something else ends it
            wait = sum(waits) if act is None else waits[-1]
        self.acts = len(remain.acts) if is_last else self.acts + 1
        if act is not None:
            try:
                act()
            except EvaluationError as error:
                self.problem, self.acts, wait = str(error), len(remain.acts), 0
        self.due = time.monotonic() + wait

    @property
    def is_hopeless(self) -> bool:
        """Whether all was done and waited for."""
        return self.acts == len(self.remain.acts) and time.monotonic() >= self.due


def stop(
    run: RunDirectory,
    evaluation: str | None,
    report: Callable[[str], None],
    patience: Patience | None = None,
) -> Stopped:
    """Stop *run*, or one *evaluation* (``model/benchmark``); *report* gets a line for each."""
    asked = [executor.stop(run, evaluation) for executor in executors.of_run(run)]
    return _Loop(asked, report, patience or Patience()).run()


def kill(which: Target, report: Callable[[str], None]) -> Killed:
    """Stop a run, or one evaluation of it, and look at it before and afterwards.

    *report* gets a line for each thing that is stopped.
    """
    for executor in executors.of_run(which.run):
        executor.hurry()
    before = states(which.run, only=which.covers)
    evaluation = f"{which.model}/{which.benchmark}" if which.benchmark else None
    stopped = stop(which.run, evaluation, report)
    after = states(which.run, only=which.covers)
    listed = " ".join(stopped.left)
    unlisted = [state for state in after if not (state.job and f"job {state.job} " in listed)]
    left = [*stopped.left, *_elsewhere(which, unlisted), *_unseen(before, stopped.silent)]
    return Killed(after, left, stopped.was_any)


def _elsewhere(which: Target, after: list[State]) -> Iterator[str]:
    """Yield what runs on other hosts, and what cannot be known."""
    for head in [] if which.benchmark else heads.workers(which.run):
        if head.lives is None:
            what = "the follower" if head.follows else "Snakemake"
            file = which.run.head_file(head.host, head.pid, head.namespace)
            yield (
                f"{what} on {head.host} (process {head.pid}): give the same command there, or "
                f"remove {file} if it is gone"
            )
    here = socket.gethostname()
    for state in after:
        if state.active and state.host not in ("", here):
            yield f"the job of {state.id} on {state.host} (process {state.pid})"
        elif state.state == "unknown":
            yield f"{state.id}, perhaps: {state.reason}"


def _unseen(before: list[State], silent: set[str]) -> Iterator[str]:
    """Yield containers of engines that did not answer."""
    for state in before:
        if state.runtime in silent and (state.active or state.state == "interrupted"):
            yield f"container {state.container} of {state.id}, perhaps: {state.runtime} is silent"


class _Loop:
    def __init__(
        self, asked: Sequence[Stopping], report: Callable[[str], None], patience: Patience
    ) -> None:
        self._asked, self._report, self._patience = asked, report, patience
        self._seen: dict[str, _Seen] = {}

    def run(self) -> Stopped:
        """Look and act until nothing is left, or nothing helps."""
        pause = _FIRST_LOOK_SECONDS
        while found := self._look():
            for seen in found:
                if seen.acts < len(seen.remain.acts) and time.monotonic() >= seen.due:
                    seen.act(self._patience)
            time.sleep(pause)
            pause = min(pause * 1.5, self._patience.look)
        return self._outcome()

    def _look(self) -> list[_Seen]:
        """Return what there is of the first stage that has something that may still end."""
        self._there: dict[str, _Seen] = {}
        for stage in Stage:
            found = []
            for stopping in self._asked:
                if (look := stopping.looks.get(stage)) is not None:
                    found += [self._note(remain) for remain in look()]
            self._there |= {seen.remain.key: seen for seen in found}
            ending = [each for each in found if each.remain.fate is Fate.ENDS]
            if any(not each.is_hopeless for each in ending):
                return ending
        return []

    def _note(self, remain: Remain) -> _Seen:
        if (seen := self._seen.get(remain.key)) is None:
            seen = self._seen[remain.key] = _Seen(remain)
            if remain.fate is not Fate.UNKNOWN:
                self._report(f"{remain.fate.value} {remain.text}")
        # As it is now; what was done stays.
        seen.remain = remain
        return seen

    def _outcome(self) -> Stopped:
        left = []
        for seen in self._there.values():
            remain = seen.remain
            if remain.fate is Fate.UNKNOWN:
                left.append(remain.text)
            elif remain.fate is Fate.ENDS:
                problem = f": {seen.problem}" if seen.problem else ""
                left.append(f"{remain.left or remain.text}{problem}")
        ended = any(seen.remain.fate is not Fate.STAYS for seen in self._seen.values())
        silent = {engine for stopping in self._asked for engine in stopping.silent}
        return Stopped(left, ended, silent)
