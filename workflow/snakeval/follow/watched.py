"""The series of a follower with their folders: looks at them, and waits for their changes."""

from __future__ import annotations

import time
from collections.abc import Callable

from snakeval.follow.looks import Looks
from snakeval.follow.sight import Seen, Series
from snakeval.follow.watch import Watch

#: Seconds between two questions to an endpoint that lists the checkpoints of a series.
ASK_SECONDS = 30.0
#: Seconds until a folder is looked at again that appeared during a look.
_SOON_SECONDS = 0.2


class WatchedSeries:
    """All series of a configuration, as :class:`snakeval.follow.follower.Sights`."""

    def __init__(
        self,
        series: Series,
        looks: Looks,
        watch: Watch,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._series, self._looks, self._watch, self._clock = series, looks, watch, clock
        self._soon: float | None = None

    def look(self) -> Seen:
        """Look once; first watch the folders, so that no later change is missed."""
        self._watch.follow(self._series.folders())
        seen = self._series.look()
        # No event reports a change in a folder before its watch.
        has_new = self._watch.follow(self._series.folders())
        self._soon = self._clock() + _SOON_SECONDS if has_new else None
        return seen

    @property
    def shared(self) -> frozenset[str]:
        """The series of which one server holds all steps."""
        return self._series.shared

    @property
    def due(self) -> float | None:
        """When the next look makes a checkpoint ready, or looks into a new folder."""
        times = [time for time in (self._looks.due, self._soon) if time is not None]
        return min(times, default=None)

    @property
    def resting_since(self) -> float:
        """When a checkpoint changed last."""
        return self._looks.resting_since

    def wait(self, seconds: float) -> bool:
        """Wait for a change, at most *seconds*; return whether there was one."""
        return self._watch.wait(seconds)

    @property
    def look_seconds(self) -> float:
        """The longest time between two looks."""
        seconds = self._watch.look_seconds
        return min(seconds, ASK_SECONDS) if self._series.asks else seconds
