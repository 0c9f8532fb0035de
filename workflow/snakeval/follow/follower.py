"""The follower: the only scheduler of a series. It keeps no state of its own.

The records of the run have the finished evaluations, its notes of heads have the heads that work,
and the disk has the checkpoints. A follower that starts again reads all three and continues.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from snakeval.errors import ConfigError
from snakeval.evaluation.duration_text import duration_text
from snakeval.follow.parts import Alarms, Child, NoAlarms, Sights, Work
from snakeval.follow.schedule import Failure, Step, next_steps
from snakeval.follow.sight import Seen
from snakeval.follow.until import Stop, Until

#: Seconds between two looks at the heads, and at heads that another follower started.
TICK_SECONDS, OTHERS_SECONDS = 0.5, 2.0
#: A series is at rest if no checkpoint changed for so many seconds.
REST_SECONDS = 10.0
#: The shortest pause between two looks, and how many times longer it is than a look took.
_GAP_SECONDS, _GAP_SHARE = 0.2, 10
#: How many times a step may fail once the follower is to end.
_LAST_TRIES = 2


@dataclass
class Follower:
    """One follower, which holds the lease of its run.

    Attributes:
        slots: how many heads work side by side.
        retry: the first pause after a failure, in seconds.
        say: prints a line.
        is_mine: whether this follower still holds the lease.
        clock: of looks and pauses; ``wall`` is the time of day.
        alarms: the alarms of the run.
    """

    sights: Sights
    work: Work
    slots: int
    retry: float
    until: Until
    say: Callable[[str], None]
    is_mine: Callable[[], bool] = lambda: True
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    alarms: Alarms = field(default_factory=NoAlarms)
    stopped: Stop = Stop.NO
    _seen: Seen = field(default_factory=lambda: Seen(None))
    _heads: dict[tuple[Step, ...], Child] = field(default_factory=dict)
    _others: Sequence[frozenset[str]] = ()
    _done: set[Step] = field(default_factory=set)
    _checked: set[Step] = field(default_factory=set)
    _failed: dict[Step, Failure] = field(default_factory=dict)
    _said: dict[str, str] = field(default_factory=dict)

    def stop(self, how: Stop) -> None:
        """End soon; a signal handler calls it."""
        self.stopped = how

    def run(self) -> bool:
        """Follow until the end; return whether all that was ready is done."""
        next_look = next_others = self.clock()
        changed = False
        while self.stopped is Stop.NO and self.is_mine():
            now = self.clock()
            due = self.sights.due
            if now >= next_look or (due is not None and now >= due):
                changed = False
                self._look()
                self.alarms.saw(self._seen.steps)
                cost = self.clock() - now
                gap = max(_GAP_SECONDS, _GAP_SHARE * cost)
                earliest, next_look = now + gap, now + max(gap, self.sights.look_seconds)
            if now >= next_others:
                self._look_at_others()
                next_others = now + OTHERS_SECONDS
            self._collect()
            self._start()
            self.alarms.look(self._busy)
            if self._has_ended():
                break
            changed |= self.sights.wait(self._pause(next_look))
            if changed:
                next_look = min(next_look, max(earliest, self.clock()))
        self._finish()
        return not self._failed and self.stopped is Stop.NO and self.is_mine()

    @property
    def _busy(self) -> set[str]:
        """The models that heads work at."""
        return {step.model for step in self._working()} | self._elsewhere

    @property
    def _elsewhere(self) -> set[str]:
        """The models that heads of an earlier follower work at."""
        return set().union(*self._others)

    def _pause(self, next_look: float) -> float:
        """Return how long nothing happens that no event reports."""
        due = self.sights.due
        until = min([next_look, *([due] if due is not None else [])])
        return max(0.0, min(TICK_SECONDS, until - self.clock()))

    # --- looks ------------------------------------------------------------------------------

    def _look(self) -> None:
        before, self._seen = self._seen, self.sights.look()
        seen = self._seen
        for problem in seen.problems:
            self._say_once(f"problem {problem}", f"error: {problem}")
        contents = {step.model: step.content for step in before.steps}
        now_there = {step.model for step in seen.steps} | seen.waiting.keys()
        for step in before.steps:
            if step.model not in now_there:
                self._say_once(
                    f"gone {step.model}", f"{step.model} is gone{self._note_of(step)}", "gone"
                )
        for model in self.work.lost(now_there):
            self._say_once(f"gone {model}", f"{model} is gone; finished results stay", "gone")
        if config := seen.config or before.config:
            done = {step.model for step in self._done if step in seen.steps}
            self.work.note_waiting(
                config, [s.model for s in seen.steps if s.model not in done], done
            )
        for step in seen.steps:
            if contents.get(step.model, step.content) != step.content:
                self.say(f"{step.model} was overwritten")
            elif step.model not in contents:
                self._said.pop(f"gone {step.model}", None)
        for model, why in seen.waiting.items():
            self._say_once(f"waits {model}", f"{model}: {why}", why.partition(":")[0])
        kept = {*seen.steps}
        self._failed = {step: failure for step, failure in self._failed.items() if step in kept}
        self._check()
        for step in seen.steps:  # a finished one is no news of a follower that starts again
            if step.model not in contents and step not in self._done:
                self._say_once(f"ready {step}", f"{step.model} is ready")

    def _note_of(self, step: Step) -> str:
        if step in self._done:
            return "; its results stay"
        return " while it runs" if step in self._working() else " before it started"

    def _check(self) -> None:
        """Find out which steps are finished by the records of the run."""
        config = self._seen.config
        skip = self._checked | self._working() | self._done
        elsewhere = self._elsewhere
        new = [s for s in self._seen.steps if s not in skip and s.model not in elsewhere]
        if config is None or not new:
            return
        left = self.work.unfinished(config, [step.model for step in new])
        self._done.update(step for step in new if step.model not in left)
        self._checked.update(new)

    def _look_at_others(self) -> None:
        """Look at the heads of an earlier follower. The records have their finished evaluations."""
        before = self._elsewhere
        self._others = self.work.others([child.pid for child in self._heads.values()])
        if ended := before - self._elsewhere:
            self._checked = {step for step in self._checked if step.model not in ended}
            self._check()

    # --- heads ------------------------------------------------------------------------------

    def _collect(self) -> None:
        """Note the heads that have ended."""
        for steps, child in list(self._heads.items()):
            if (code := child.poll()) is None:
                continue
            del self._heads[steps]
            there = [step for step in steps if step in self._seen.steps]
            left = self._left(there) if code else set()
            for step in steps:
                if step not in there:
                    end = "its checkpoint was changed or deleted"
                    self.say(f"{step.model} ended ({_ended(code)}): {end}")
                elif step.model in left and self.stopped is Stop.WITH_HEADS:
                    self.say(f"{step.model} is interrupted")
                elif step.model in left:
                    again = self._note_failure(step)
                    why = "; ".join(filter(None, (_ended(code), self.work.why_failed(step.model))))
                    self.say(f"{step.model} failed ({why}); it starts again in {again}")
                else:
                    self._done.add(step)
                    self._failed.pop(step, None)
                    self.say(f"{step.model} is done")

    def _working(self) -> set[Step]:
        return {step for steps in self._heads for step in steps}

    def _left(self, steps: Sequence[Step]) -> Collection[str]:
        """Return the models of *steps* that are not finished, by the records."""
        config = self._seen.config
        names = [step.model for step in steps]
        return self.work.unfinished(config, names) if config and names else set()

    def _note_failure(self, step: Step) -> str:
        """Note that a step failed; return the pause until it starts again."""
        now = self.clock()
        failure = self._failed[step] = Failure.after(self._failed.get(step), now, self.retry)
        return duration_text(failure.again - now)

    def _start(self) -> None:
        config = self._seen.config
        if config is None or self.until.is_over(self.wall()):
            return
        mine = [{step.model for step in steps} for steps in self._heads]
        running = [*mine, *self._others]
        chosen = next_steps(
            self._seen.steps,
            done=self._done,
            running=running,
            failed=self._failed,
            shared=self.sights.shared,
            slots=self.slots,
            now=self.clock(),
        )
        for steps in chosen:
            names = [step.model for step in steps]
            try:
                child = self._heads[steps] = self.work.start(config, names)
            except (ConfigError, OSError) as error:
                for step in steps:
                    again = self._note_failure(step)
                    self.say(f"{step.model} cannot start, and tries again in {again}: {error}")
            else:
                waits = len(self._unfinished()) - len(self._working())
                more = f"; {waits} more wait" if waits > 0 else ""
                self.say(f"{', '.join(names)} starts (process {child.pid}){more}")

    def _unfinished(self) -> list[Step]:
        return [step for step in self._seen.steps if step not in self._done]

    # --- the end ----------------------------------------------------------------------------

    def _has_ended(self) -> bool:
        """Whether nothing is left to do, by the end that the user chose."""
        if self._heads or self._others:
            return False
        if self.until.is_over(self.wall()):
            return True
        last = self.until.has_file and self.clock() - self.sights.resting_since >= REST_SECONDS
        if not last:
            last = any(self._is_last(step) for step in self._done if step in self._seen.steps)
        return last and all(self._is_hopeless(step) for step in self._unfinished())

    def _is_last(self, step: Step) -> bool:
        model = self._seen.config.models.get(step.model) if self._seen.config else None
        member = model.member if model else None
        return member is not None and self.until.is_last(member.values[member.axis])

    def _is_hopeless(self, step: Step) -> bool:
        failure = self._failed.get(step)
        return failure is not None and failure.count >= _LAST_TRIES

    def _finish(self) -> None:
        """Wait for the heads, unless they outlive this follower."""
        if self._leaves_heads() or not self.is_mine():
            for steps, child in self._heads.items():
                names = ", ".join(step.model for step in steps)
                self.say(f"{names} continues as process {child.pid}")
            return
        for steps, child in self._heads.items():
            names = ", ".join(step.model for step in steps)
            self.say(f"interrupts {names} (process {child.pid}), and waits for its end")
            child.interrupt()
        while self._heads and not self._leaves_heads():
            self._collect()
            time.sleep(0.05)
        self.alarms.close()
        if self._failed:
            names = ", ".join(step.model for step in self._failed)
            self.say(f"not done: {names}; the same command tries again")

    def _leaves_heads(self) -> bool:
        return self.stopped is Stop.WITHOUT_HEADS

    def _say_once(self, key: str, line: str, state: str = "") -> None:
        if self._said.get(key) != (state or line):
            self._said[key] = state or line
            self.say(line)


def _ended(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
