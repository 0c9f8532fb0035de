"""Decides when to poll the queue next: soon after an event, then less and less often."""

from __future__ import annotations

import time
from collections.abc import Callable

_GROWTH = 1.5


class Pace:
    """The time between two polls, in seconds: *first*, then longer up to *longest*."""

    def __init__(
        self, first: float, longest: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._first, self._longest = first, max(first, longest)
        self._wait = first
        self._due = 0.0

    def stir(self) -> None:
        """Note an event: poll soon."""
        self._wait = self._first
        soon = self._clock() + self._first
        self._due = soon if self.is_due else min(self._due, soon)

    def looked(self) -> None:
        """Plan the next poll after a longer time than before this one."""
        self._due = self._clock() + self._wait
        self._wait = min(self._longest, self._wait * _GROWTH)

    @property
    def is_due(self) -> bool:
        """Whether a poll is due."""
        return self._clock() >= self._due
