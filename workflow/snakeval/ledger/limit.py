"""How many requests are in flight at an endpoint: a window that finds the endpoint's own limit.

The window doubles in each round trip while throughput grows, then adds one a round trip. A failure
cuts it. A 429 also teaches a pace: so many requests a second, no more. Latency alone never cuts the
window, since the latency of a batching engine grows with every request that it computes beside
others. The method is the slow start and the additive increase of TCP (RFC 5681), with throughput
in place of acknowledgements.

All functions take the time as an argument, so a simulation needs no waiting.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

#: Throughput must grow by so much in a round trip for the window to double.
GROWTH = 1.05
#: A failure leaves so much of the window.
CUT = 0.7
#: The pace after a 429, of the rate at which answers came.
PACE = 0.95
#: The pace grows by so much in each span without a 429, in seconds.
PACE_GROWTH, PACE_SPAN = 1.02, 10.0
#: A pace is learnt from at least so many seconds.
TEACHING = 1.0
#: The measure begins again when no request had to wait for so many seconds.
UNHELD = 5.0
#: A round trip ends when so many of the window's places have ended a request. Lengths differ much,
#: and the last of a window would hold up the start.
SHARE = 0.5


@dataclass
class Bounds:
    """The known limits of an endpoint before the first request; 0 means unknown.

    Attributes:
        start, ceiling: of the window. Equal ones fix it.
        timeout: after which a request fails, in seconds.
        requests_per_minute, tokens_per_minute: limits that the user states.
    """

    start: float = 8
    ceiling: float = 64
    timeout: float = 300
    requests_per_minute: float = 0
    tokens_per_minute: float = 0

    @property
    def fixed(self) -> bool:
        """Whether the window never changes."""
        return self.start >= self.ceiling


@dataclass
class _Round:
    """A round trip: it ends when half as many requests have ended as the window had places."""

    began: float
    places: int
    ended: int = 0
    answers: int = 0
    slowest: float = 0.0
    cut: bool = False
    full: bool = False


@dataclass
class Limit:
    """The window and the pace of one endpoint.

    Call :meth:`wait` before a request and begin it if the result is 0; then :meth:`begin`, and
    :meth:`end` with what came of it.
    """

    bounds: Bounds
    now: float
    window: float = field(init=False)
    in_flight: int = field(init=False, default=0)
    #: Requests a second at most; 0 for no pace.
    pace: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.window = min(self.bounds.start, self.bounds.ceiling)
        self._growing = not self.bounds.fixed
        self._round = _Round(self.now, int(self.window))
        self._throughput = 0.0
        self._paused_until = 0.0
        self._next_start = 0.0
        self._paced_at = 0.0
        self._taught_at, self._begun, self._refused = self.now, 0, 0
        self._held_at = float("-inf")
        self._starts: deque[float] = deque()
        self._tokens: deque[tuple[float, int]] = deque()

    # --- before a request -----------------------------------------------------------------

    def wait(self, now: float) -> float | None:
        """Return how long the next request must wait, in seconds; None: until one ends."""
        if self.in_flight >= max(1, int(self.window)):
            self._round.full = True
            self._held_at = now
            return None
        until = max(self._paused_until, self._paced(now), self._stated(now))
        if until > now:
            self._held_at = until
        return max(0.0, until - now)

    def _paced(self, now: float) -> float:
        if not self.pace:
            return 0.0
        while now - self._paced_at >= PACE_SPAN:
            self._paced_at += PACE_SPAN
            self.pace *= PACE_GROWTH
        return self._next_start

    def _stated(self, now: float) -> float:
        """Return when the limits that the user states allow the next request."""
        until = 0.0
        if self.bounds.requests_per_minute:
            # Less than one a minute is one in a longer time.
            span = max(60.0, 60 / self.bounds.requests_per_minute)
            _forget(self._starts, now - span)
            allowed = max(1, int(self.bounds.requests_per_minute))
            if len(self._starts) >= allowed:
                until = self._starts[-allowed] + span
        if self.bounds.tokens_per_minute:
            while self._tokens and self._tokens[0][0] <= now - 60:
                self._tokens.popleft()
            spent = sum(count for _, count in self._tokens)
            if spent >= self.bounds.tokens_per_minute:
                until = max(until, self._tokens[0][0] + 60)
        return until

    def begin(self, now: float) -> None:
        """Note that a request begins."""
        if now - self._held_at > UNHELD:
            # No request waited, so the harness alone decided how many there were.
            self._taught_at, self._begun, self._refused = now, 0, 0
            self._held_at = now
        self.in_flight += 1
        self._begun += 1
        if self.bounds.requests_per_minute:
            self._starts.append(now)
        if self.pace:
            self._next_start = max(self._next_start, now) + 1 / self.pace

    # --- after a request ------------------------------------------------------------------

    def end(
        self,
        now: float,
        began: float,
        *,
        failed: bool = False,
        limited: bool = False,
        wrong: bool = False,
        retry_after: float = 0.0,
        tokens: int = 0,
    ) -> None:
        """Note the end of a request that began at *began*.

        *failed*: no answer, or a 503; *limited*: a 429. Either may name *retry_after* seconds.
        *wrong*: another error, which says nothing of the load. *tokens* are those of the request
        and of the answer.
        """
        self.in_flight -= 1
        if tokens and self.bounds.tokens_per_minute:
            self._tokens.append((now, tokens))
        if retry_after:
            self._paused_until = max(self._paused_until, now + retry_after)
        if limited:
            self._refused += began >= self._taught_at
            self._learn_pace(now)
        if failed or limited:
            self._cut()
        elif not wrong:
            self._round.answers += 1
            self._round.slowest = max(self._round.slowest, now - began)
        self._round.ended += 1
        if self._round.ended >= self._round.places * SHARE and not self.bounds.fixed:
            self._next_round(now)

    def drop(self) -> None:
        """Note that a request ended and says nothing of the endpoint."""
        self.in_flight -= 1

    def _cut(self) -> None:
        if self._round.cut or self.bounds.fixed:
            return
        self._round.cut = True
        self._growing = False
        self.window = max(1.0, self.window * CUT)

    def _learn_pace(self, now: float) -> None:
        """Learn from the requests that the endpoint accepted since it last taught a pace.

        The time includes the pause after the last 429. A burst that the endpoint allows makes the
        first pace too high, and the next 429 corrects it; a pace that is too low would stay. The
        first pace is the stated limit, spread evenly: the endpoint allows no burst of it.
        """
        self._paced_at = now
        if self.bounds.requests_per_minute and not self.pace:
            self._taught_at, self._begun, self._refused = now, 0, 0
            self.pace = self.bounds.requests_per_minute / 60 * PACE
            return
        span, accepted = now - self._taught_at, self._begun - self._refused
        # Several 429s at once, and the first request after a pause that was too short, teach
        # nothing new.
        if span < TEACHING or accepted < int(self.window):
            return
        self._taught_at, self._begun, self._refused = now, 0, 0
        pace = accepted / span * PACE
        self.pace = min(self.pace or pace, pace)

    def _next_round(self, now: float) -> None:
        """End the round trip, and widen the window if it was used and that pays."""
        past = self._round
        elapsed = now - past.began
        throughput = past.answers / elapsed if elapsed > 0 else 0.0
        # Before the slowest answer is there, the queue says how long it will take (Little's law).
        slowest = max(past.slowest, self.in_flight / throughput if throughput else 0.0)
        patient = slowest <= self.bounds.timeout / 4
        if past.full and past.answers and patient and not past.cut:
            if self._growing and throughput >= self._throughput * GROWTH:
                self.window *= 2
            else:
                self._growing = False
                self.window += 1
            self.window = min(self.window, self.bounds.ceiling)
        self._throughput = throughput
        self._round = _Round(now, int(self.window))


def _forget(times: deque[float], before: float) -> None:
    while times and times[0] <= before:
        times.popleft()
