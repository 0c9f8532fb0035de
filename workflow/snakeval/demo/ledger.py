"""What the demo server remembers of the requests it gets."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

_OUTCOMES = ("requests", "answered", "failed", "rejected", "abandoned")


class Ledger:
    """Counts of the model requests."""

    def __init__(self) -> None:
        """Start from nought."""
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget all counts, and number requests from 1 again; no request may be under way."""
        with self._lock:
            self._outcomes: Counter[str] = Counter()
            self._models: Counter[str] = Counter()
            self._prompts: Counter[bytes] = Counter()

    def arrive(self) -> int:
        """Count a request and return its number."""
        with self._lock:
            self._outcomes["requests"] += 1
            return self._outcomes["requests"]

    def end(self, outcome: str) -> None:
        """Count a request that ends without an answer."""
        with self._lock:
            self._outcomes[outcome] += 1

    def answer(self, model: str, prompts: Sequence[str]) -> None:
        """Count a request that gets an answer, and its prompts."""
        with self._lock:
            self._outcomes["answered"] += 1
            self._models[model] += 1
            self._prompts.update(
                hashlib.sha256(f"{model}\n{prompt}".encode()).digest() for prompt in prompts
            )

    def snapshot(self) -> dict[str, Any]:
        """Return the counts.

        `requests` = `answered` + `failed` (on purpose) + `rejected` (the client's mistake) +
        `abandoned` (the client hung up before the answer) + those under way. `models` counts
        answered requests. `distinct` and `repeated` count answered prompts: to ask a model the
        same again is a repetition, a retry after a failure is not.
        """
        with self._lock:
            return {
                **{outcome: self._outcomes[outcome] for outcome in _OUTCOMES},
                "models": dict(sorted(self._models.items())),
                "distinct": len(self._prompts),
                "repeated": self._prompts.total() - len(self._prompts),
            }
