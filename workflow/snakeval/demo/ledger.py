"""What the demo server remembers of the requests it gets: counts, and lines of a file on demand.

The counts end with the server. The file outlives it, and several servers may share one.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

_OUTCOMES = ("requests", "answered", "failed", "rejected", "abandoned")


class Recorded(NamedTuple):
    """What all servers that share a ledger file have written to it."""

    loads: Counter[str]
    answers: Counter[tuple[str, str]]


def read_ledger(path: Path) -> Recorded:
    """Return how often servers loaded a model, and how often they answered a prompt.

    `loads` is by model: one for each server that began to listen, ready or not yet. `answers` is
    by model and `digest(model, prompt)`. No file means that no server has begun; a last line
    without its end is still being written, and not counted.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    recorded = Recorded(Counter(), Counter())
    for line in text.split("\n")[:-1]:
        entry = json.loads(line)
        if entry.get("event") == "load":
            recorded.loads.update(entry["models"])
        else:
            recorded.answers[entry["model"], entry["prompt"]] += 1
    return recorded


def digest(model: str, prompt: str) -> str:
    """Return what stands for a prompt to a model, in the counts and in the file."""
    return hashlib.sha256(f"{model}\n{prompt}".encode()).hexdigest()


class Ledger:
    """Counts of the model requests, and the file that keeps what was loaded and answered."""

    def __init__(self, path: Path | None = None) -> None:
        """Start from nought; what is in the file stays there."""
        self._lock = threading.Lock()
        self._file: int | None = None
        if path is not None:
            # O_APPEND: each write goes to the end, wherever other servers have moved it.
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        self.reset()

    def close(self) -> None:
        """Write to the file no more."""
        # Under the lock: a request under way might write to a descriptor that is another file's.
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def reset(self) -> None:
        """Forget all counts, and number requests from 1 again; no request may be under way."""
        with self._lock:
            self._outcomes: Counter[str] = Counter()
            self._models: Counter[str] = Counter()
            self._prompts: Counter[str] = Counter()

    def load(self, models: Sequence[str]) -> None:
        """Record in the file that a server with these models begins."""
        with self._lock:
            self._append([{"event": "load", "models": list(models)}])

    def arrive(self) -> int:
        """Count a request and return its number."""
        with self._lock:
            self._outcomes["requests"] += 1
            return self._outcomes["requests"]

    def end(self, outcome: str) -> None:
        """Count a request that ends without an answer."""
        with self._lock:
            self._outcomes[outcome] += 1

    def answer(self, number: int, model: str, prompts: Sequence[str]) -> None:
        """Count the request with this number, which gets an answer, and its prompts."""
        digests = [digest(model, prompt) for prompt in prompts]
        with self._lock:
            self._append({"model": model, "prompt": text, "number": number} for text in digests)
            self._outcomes["answered"] += 1
            self._models[model] += 1
            self._prompts.update(digests)

    def _append(self, entries: Iterable[dict[str, Any]]) -> None:
        if self._file is None:
            return
        lines = (json.dumps({"server": os.getpid(), **entry}) + "\n" for entry in entries)
        # In one write, past any buffer: what is recorded outlives a `kill -9`, and no other
        # server's lines come between.
        os.write(self._file, "".join(lines).encode())

    def snapshot(self) -> dict[str, Any]:
        """Return the counts.

        `requests` = `answered` + `failed` (on purpose) + `rejected` (the client's mistake, or made
        before the models were loaded) + `abandoned` (the client hung up before the answer) +
        those under way. `models` counts answered requests. `distinct` and `repeated` count
        answered prompts: to ask a model the same again is a repetition, a retry after a failure
        is not.
        """
        with self._lock:
            return {
                **{outcome: self._outcomes[outcome] for outcome in _OUTCOMES},
                "models": dict(sorted(self._models.items())),
                "distinct": len(self._prompts),
                "repeated": self._prompts.total() - len(self._prompts),
            }
