"""The alarms of a follower: they are decided and delivered beside its loop, which never waits.

The heads decide at their ends. The follower decides again, since a head may have been killed, and
it alone knows how long there was no new checkpoint.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from snakeval.config.member_names import series_of
from snakeval.errors import ConfigError, EvaluationError
from snakeval.files import DAMAGE
from snakeval.follow.schedule import Step
from snakeval.results.alarms import decide
from snakeval.results.alarms.look import Alarms
from snakeval.run import alarms

#: Seconds between two looks while nothing ends; a delivery that failed is tried again then.
LOOK_SECONDS = 30.0
#: The longest wait for deliveries at the end, in seconds.
_LAST_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Silence:
    """When a series had its newest checkpoint, and the name of its model."""

    since: float
    last: str


@dataclass
class FollowedAlarms:
    """Alarms as :class:`snakeval.follow.parts.Alarms`.

    Attributes:
        series: the series of the configuration, which may have no checkpoint yet.
        clock: the time of day.
        ended: whether the training has ended, after which no checkpoint is missed.
    """

    alarms: Alarms
    series: Sequence[str]
    say: Callable[[str], None]
    clock: Callable[[], float] = time.time
    ended: Callable[[], bool] = lambda: False
    _known: set[Step] | None = None
    _silences: dict[str, Silence] = field(default_factory=dict)
    _busy: frozenset[str] = frozenset()
    _next: float = 0.0
    _worker: threading.Thread | None = None
    _said: set[str] = field(default_factory=set)
    _problem: str = ""

    def saw(self, steps: Sequence[Step]) -> None:
        """Learn which steps are ready: a new one, or new content, ends a silence."""
        now = self.clock()
        new = [step for step in steps if self._known is None or step not in self._known]
        if self._known is None:
            silences = {name: Silence(now, "") for name in self.series}
            self._silences = silences | self._before(steps, now)
            self._try(self._note_old)  # alarms of an earlier follower are no news
        else:
            # The newest step of a series is the first one.
            self._silences.update({series_of(s.model): Silence(now, s.model) for s in new[::-1]})
        self._known = {*steps, *(self._known or ())}

    def _before(self, steps: Sequence[Step], now: float) -> dict[str, Silence]:
        """Return the silences at the start, by what earlier heads have seen.

        A checkpoint that no head has seen counts as new.
        """
        seen = self.alarms.run.read_series()
        found: dict[str, Silence] = {}
        for step in reversed(steps):
            known = seen.get(step.model)
            since = min(now, known.seen) if known and known.seen else now
            name = series_of(step.model)
            before = found.get(name)
            found[name] = Silence(max(since, before.since if before else 0.0), step.model)
        return found

    def look(self, busy: Collection[str]) -> None:
        """Look at once after a head has ended, else every :data:`LOOK_SECONDS`."""
        now, models = self.clock(), frozenset(busy)
        due = now >= self._next or bool(self._busy - models)
        if not due or (self._worker and self._worker.is_alive()):
            return
        self._busy, self._next = models, now + LOOK_SECONDS
        silences = {} if self.ended() else dict(self._silences)
        self._worker = threading.Thread(
            target=self._try, args=(lambda: self.once(models, silences, now),), daemon=True
        )
        self._worker.start()

    def close(self) -> None:
        """Wait for deliveries, not for long."""
        if self._worker:
            self._worker.join(_LAST_SECONDS)

    def once(self, busy: Collection[str], silences: Mapping[str, Silence], now: float) -> None:
        """Decide and deliver once.

        Raises:
            ConfigError, OSError: the run cannot be read or written.
        """
        self.alarms.decide(lambda model: model in busy)
        for benchmark, alert in self.alarms.silences().values():
            for series, each in silences.items():
                if alert.no_checkpoint and decide.is_silent(each.since, now, alert.no_checkpoint):
                    self.alarms.decide_silence(benchmark, series, each.last, now - each.since)
        for found in alarms.read(self.alarms.run.alarms).alarms:
            if found.id not in self._said:
                self._said.add(found.id)
                self.say(f"alarm: {found.alarm.get('text', '')}")
        self.alarms.deliver()

    def _note_old(self) -> None:
        self._said = {each.id for each in alarms.read(self.alarms.run.alarms).alarms}

    def _try(self, act: Callable[[], None]) -> None:
        """Do something whose failure must not end the follower; report each problem once."""
        try:
            act()
        except (OSError, ConfigError, EvaluationError, *DAMAGE) as error:
            if str(error) != self._problem:
                self.say(f"alarms failed: {error}. The next look tries again")
            self._problem = str(error)
        else:
            self._problem = ""
