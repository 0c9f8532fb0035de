"""The counts of a summary for one upstream."""

from __future__ import annotations

import math
from typing import Any

from snakeval.ledger.losses import Losses
from snakeval.ledger.records import REFUSAL

#: A histogram's classes are so much wider each: percentiles are exact to 1 %.
_WIDTH = 1.02
_SMALLEST = 1e-4
#: How many finish reasons have a count each, how long they are, and the name of all others.
_REASONS, _LONGEST, _OTHER = 16, 40, "other"


class Histogram:
    """Durations in classes of growing width, so that memory does not grow with their number."""

    def __init__(self) -> None:
        self._classes: dict[int, int] = {}
        self._total = 0

    def add(self, seconds: float) -> None:
        """Count a duration."""
        place = round(math.log(max(seconds, _SMALLEST) / _SMALLEST, _WIDTH))
        self._classes[place] = self._classes.get(place, 0) + 1
        self._total += 1

    def quantile(self, share: float) -> float:
        """Return the duration below which *share* of all durations are; 0 without any."""
        rank, seen = share * self._total, 0
        for place in sorted(self._classes):
            seen += self._classes[place]
            if seen >= rank:
                return round(_SMALLEST * _WIDTH**place, 4)
        return 0.0

    def data(self) -> dict[str, float]:
        """Return median, p95 and p99 in seconds."""
        return {
            "median": self.quantile(0.5),
            "p95": self.quantile(0.95),
            "p99": self.quantile(0.99),
        }


class Counts:
    """The counts of one gateway process for one upstream.

    Tokens, finish reasons and latencies are those of all answers that the harness received, also of
    answers from the journal. The counts of the last attempt thus cover the whole evaluation.
    """

    def __init__(self) -> None:
        #: Requests of the harness that ask the model, and others (``/tokenize``, ``/v1/models``).
        self.requests = self.others = 0
        #: Answers that the harness received: of the endpoint, and from the journal.
        self.asked = self.replayed = 0
        #: Requests that found an equal one under way whose harness had hung up.
        self.joined = 0
        #: Answers of earlier attempts that the harness asked for again.
        self.wanted_again = 0
        #: Requests that once left the harness without a sound answer: it hung up, or it received an
        #: error, a page, or half of a stream. The equal request that receives the answer later may
        #: repeat it, or be the next sample, and the gateway cannot distinguish the two.
        self.losses = Losses()
        #: Requests that the journal answered with the endpoint's refusal.
        self.refused_again = 0
        #: Requests that ended in an error.
        self.failed = 0
        self.tries = 0
        self.causes: dict[str, int] = {}
        self.waits: dict[str, float] = {}
        self.tokens: dict[str, int] = {}
        #: Answers without a count of their tokens.
        self.uncounted = 0
        #: Those of the answers for which another run paid.
        self.free, self.free_uncounted = 0, 0
        self.free_tokens: dict[str, int] = {}
        self.finish: dict[str, int] = {}
        self.empty = 0
        self.first, self.whole = Histogram(), Histogram()
        #: Requests for an answer that the journal does not have, while there is no endpoint.
        self.missed: set[tuple[bytes, int]] = set()
        #: The first of them, and of those that only read; at most 20.
        self.misses: list[str] = []
        #: Key and occurrence of the answers that the harness received last; at most 64.
        self.last: list[tuple[str, int]] = []

    def cause(self, name: str) -> None:
        """Count a try that did not succeed."""
        self.causes[name] = self.causes.get(name, 0) + 1

    def miss(self, method: str, path: str, body: bytes, slot: tuple[bytes, int]) -> str:
        """Count a request without an answer, and return a text that names it."""
        text = f"{method} {path} (equal request number {slot[1] + 1})"
        if body:
            text = f"{text}: {body[:300].decode('utf-8', 'replace')}"
        if method == "POST":
            self.missed.add(slot)
        if len(self.misses) < 20 and text not in self.misses:
            self.misses.append(text)
        return text

    def refused(self, key: bytes) -> None:
        """Count a request that received its refusal from the journal."""
        self.failed += 1
        self.replayed += 1
        self.refused_again += 1
        self._deliver(key, REFUSAL)

    def received(
        self, meta: dict[str, Any], key: bytes, occurrence: int, *, is_free: bool = False
    ) -> None:
        """Count an answer that the harness received; if *is_free*, another run paid for it."""
        self.tries += meta.get("tries", 1)
        _add(self.waits, meta.get("waits", {}))
        _add(self.tokens, meta.get("tokens", {}))
        self.uncounted += not meta.get("tokens")
        if is_free:
            self.free += 1
            self.free_uncounted += not meta.get("tokens")
            _add(self.free_tokens, meta.get("tokens", {}))
        for reason in meta.get("finish", ()):
            self._finish(str(reason)[:_LONGEST])
        self.empty += meta.get("empty", 0)
        self.first.add(meta.get("first", 0.0))
        self.whole.add(meta.get("whole", 0.0))
        self._deliver(key, occurrence)

    def _finish(self, reason: str) -> None:
        """Count a finish reason; an endpoint may send any number of them."""
        if reason not in self.finish and len(self.finish) >= _REASONS:
            reason = _OTHER
        self.finish[reason] = self.finish.get(reason, 0) + 1

    def _deliver(self, key: bytes, occurrence: int) -> None:
        self.last.append((key.hex(), occurrence))
        del self.last[:-64]

    def data(self, kept: int) -> dict[str, Any]:
        """Return the counts as JSON data; *kept* answers were stored by earlier attempts."""
        return {
            "requests": self.requests,
            "other_requests": self.others,
            "answers": {"asked": self.asked, "journal": self.replayed, "joined": self.joined},
            "failed": self.failed,
            "unanswered": len(self.losses.once),
            "lost": self.losses.data(),
            "refused_again": self.refused_again,
            "tries": self.tries,
            "causes": self.causes,
            "waits": {cause: round(seconds, 3) for cause, seconds in self.waits.items()},
            "tokens": self.tokens,
            "uncounted": self.uncounted,
            "free": {
                "answers": self.free,
                "uncounted": self.free_uncounted,
                "tokens": self.free_tokens,
            },
            "finish_reasons": self.finish,
            "empty": self.empty,
            "latency": {"first_byte": self.first.data(), "whole": self.whole.data()},
            "stored": kept,
            "not_asked_again": kept - self.wanted_again,
            "missed": len(self.missed),
            "misses": self.misses,
            "last": self.last,
        }


def _add(total: dict[str, Any], more: dict[str, Any]) -> None:
    for name, number in more.items():
        total[name] = total.get(name, 0) + number
