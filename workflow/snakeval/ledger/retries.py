"""When a request is asked again, and after how long.

The gateway waits out 429 and 503 until a deadline, as ``Retry-After`` or a growing pause says, and
repeats broken connections, late answers and errors a few times. Source: RFC 9110, 10.2.3
(``Retry-After``) and 15.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timezone
from typing import Any

from snakeval.ledger import http
from snakeval.ledger.answers import AWAY, BROKEN, BUSY, ERROR, FAILED, LATE, LIMITED, MALFORMED
from snakeval.ledger.http import Headers

#: The first pause, in seconds; each is twice the one before.
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
_FEW = frozenset({FAILED, AWAY, ERROR, MALFORMED, BROKEN, LATE})
_WAITED_OUT = frozenset({LIMITED, BUSY})


@dataclass(frozen=True)
class Patience:
    """How long the gateway tries.

    Attributes:
        deadline: seconds for which it waits out 429 and 503.
        tries: of a request whose tries end in errors, broken connections or late answers.
        restarts: snakeval serves the model and restarts its server, so the gateway waits out broken
            connections and 502 also.
    """

    deadline: float = 3600.0
    tries: int = 4
    restarts: bool = False


@dataclass
class Retries:
    """The tries of one request."""

    patience: Patience
    began: float
    failures: int = 0
    refusals: int = 0
    #: Seconds of pauses by cause.
    waits: dict[str, float] = field(default_factory=dict)

    def pause(self, cause: str, now: float, wanted: float = 0.0) -> float | None:
        """Return the seconds until the next try, or None if there is none.

        *wanted* is what ``Retry-After`` says; 0 if it says nothing.
        """
        if cause in _WAITED_OUT or (self.patience.restarts and cause in (BROKEN, AWAY)):
            self.refusals += 1
            pause = wanted or self._growing(self.refusals)
            if now + pause > self.began + self.patience.deadline:
                return None
        elif cause in _FEW:
            self.failures += 1
            if self.failures >= self.patience.tries:
                return None
            pause = wanted or self._growing(self.failures)
        else:
            return None
        self.waits[cause] = self.waits.get(cause, 0.0) + pause
        return pause

    def _growing(self, times: int) -> float:
        # The random part keeps requests that failed together from coming back together.
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(times - 1, 16))
        return longest * random.uniform(0.5, 1.0)


class Pauses:
    """The requests that wait for their next try now."""

    def __init__(self) -> None:
        self._now: dict[object, tuple[str, float]] = {}

    @contextmanager
    def of(self, cause: str, seconds: float) -> Iterator[None]:
        """Count a request that waits in the context."""
        waiting = object()
        self._now[waiting] = cause, seconds
        try:
            yield
        finally:
            del self._now[waiting]

    def data(self) -> dict[str, Any]:
        """Return cause and seconds of the longest pause, and how many requests wait."""
        if not self._now:
            return {}
        cause, seconds = max(self._now.values(), key=lambda each: each[1])
        return {"cause": cause, "seconds": round(seconds, 1), "requests": len(self._now)}


def retry_after(headers: Headers, now: float | None = None) -> float:
    """Return the seconds of ``Retry-After``, which is a number or a date; 0 without either.

    OpenAI's ``retry-after-ms`` counts also.
    """
    fine = http.value(headers, "retry-after-ms")
    text = http.value(headers, "retry-after")
    try:
        seconds = float(fine) / 1000 if fine else float(text)
        return max(0.0, seconds) if math.isfinite(seconds) else 0.0
    except ValueError:
        # A date, then. Each gateway would wait for this import, and few endpoints send dates.
        from email.utils import parsedate_to_datetime
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError):
        return 0.0
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    return max(0.0, date.timestamp() - (time.time() if now is None else now))


def patience_of(options: Mapping[str, float]) -> Patience:
    """Return the patience that a configuration says."""
    known = Patience()
    return Patience(
        float(options.get("deadline", known.deadline)),
        int(options.get("tries", known.tries)),
        bool(options.get("served", False)),
    )
