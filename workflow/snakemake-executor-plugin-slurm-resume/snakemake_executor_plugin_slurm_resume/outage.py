"""Reports an outage of Slurm in two lines: when it begins, and when it is over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: An outage is over after so many seconds without a failure. A controller may fail now and then.
_CALM_SECONDS = 60.0


class Outage:
    """The outages of Slurm: of its controller, its accounting or its submissions.

    *begins* and *ends* print a line.
    """

    def __init__(
        self,
        begins: Callable[[str], None],
        ends: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._begins, self._ends, self._clock = begins, ends, clock
        self._began: float | None = None
        self._failed = 0.0
        self._lock = threading.Lock()

    def fails(self, why: str) -> None:
        """Note a call without an answer; report the first one of an outage."""
        with self._lock:
            self._failed = self._clock()
            if self._began is not None:
                return
            self._began = self._failed
        self._begins(f"Slurm does not answer ({why}). Waiting for its answer.")

    def answers(self) -> None:
        """Note an answer; report the end of an outage after a calm time."""
        with self._lock:
            if self._began is None or self._clock() - self._failed < _CALM_SECONDS:
                return
            minutes = max(1, round((self._failed - self._began) / 60))
            self._began = None
        self._ends(f"Slurm answers again. The outage lasted about {minutes} min.")
