"""Counts the demo server's requests, in memory and optionally in a file.

The counts in memory end with the server. The file remains, and several servers may share it.
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
    """The counts of all servers that share a ledger file.

    Attributes:
        loads: model -> how many servers began to listen with it, loaded or not.
        answers: (model, `digest(model, prompt)`) -> how often servers answered that prompt.
    """

    loads: Counter[str]
    answers: Counter[tuple[str, str]]


def read_ledger(path: Path) -> Recorded:
    """Count how often servers loaded a model, and how often they answered a prompt.

    A missing file counts as empty. A last line without its end does not count, since a server is
    still writing it.
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
    """Return the hash that identifies a model's prompt in the counts and in the file."""
    return hashlib.sha256(f"{model}\n{prompt}".encode()).hexdigest()


class Ledger:
    """Counts model requests, and appends loads and answers to a file."""

    def __init__(self, path: Path | None = None) -> None:
        """Start with all counts at 0; an existing file keeps its lines."""
        self._lock = threading.Lock()
        self._file: int | None = None
        if path is not None:
            # With O_APPEND each write goes to the current end, also if other servers write.
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        self.reset()

    def close(self) -> None:
        """Close the file; later requests write nothing."""
        # The lock keeps a running request from writing to a descriptor that another file reuses.
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def reset(self) -> None:
        """Set all counts to 0 and number requests from 1; no request may be running."""
        with self._lock:
            self._outcomes: Counter[str] = Counter()
            self._models: Counter[str] = Counter()
            self._prompts: Counter[str] = Counter()

    def load(self, models: Sequence[str]) -> None:
        """Record in the file that a server starts with these models."""
        with self._lock:
            self._append([{"event": "load", "models": list(models)}])

    def arrive(self) -> int:
        """Count a request and return its number."""
        with self._lock:
            self._outcomes["requests"] += 1
            return self._outcomes["requests"]

    def upcoming(self) -> int:
        """Return the number that the next request will have."""
        with self._lock:
            return self._outcomes["requests"] + 1

    def end(self, outcome: str) -> None:
        """Count a request that ends without an answer."""
        with self._lock:
            self._outcomes[outcome] += 1

    def answer(self, number: int, model: str, prompts: Sequence[str]) -> None:
        """Count an answered request and its prompts; *number* is that of :meth:`arrive`."""
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
        # One unbuffered write: the lines survive a `kill -9`, and other servers' lines cannot
        # split them.
        os.write(self._file, "".join(lines).encode())

    def snapshot(self) -> dict[str, Any]:
        """Return the counts.

        `requests` is the sum of `answered`, `failed`, `rejected`, `abandoned` and the running
        requests. A request failed if the server failed on purpose. It was rejected if it was
        invalid or arrived before the models were loaded, and abandoned if the client hung up.
        `models` counts answered requests by model. `distinct` and `repeated` count answered
        prompts. A prompt that the same model has answered before is repeated; a retry after a
        failure is not.
        """
        with self._lock:
            return {
                **{outcome: self._outcomes[outcome] for outcome in _OUTCOMES},
                "models": dict(sorted(self._models.items())),
                "distinct": len(self._prompts),
                "repeated": self._prompts.total() - len(self._prompts),
            }


class Uncounted:
    """Takes requests that the counts of *ledger* leave out."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def arrive(self) -> int:
        """Return the number that the next counted request will have."""
        return self._ledger.upcoming()

    def end(self, outcome: str) -> None:
        """Count nothing."""

    def answer(self, number: int, model: str, prompts: Sequence[str]) -> None:
        """Count nothing."""
