"""The log of an attempt, for people, and the journal of its events, for commands."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.events import Event, Journal
from snakeval.evaluation.record import now


@dataclass(frozen=True, slots=True)
class AttemptLog:
    """The open log of an attempt, into which the harness prints, and the journal of its events."""

    file: IO[bytes]
    journal: Journal

    def tell(self, event: Event) -> None:
        """Append an event, and write its detail to the log."""
        self.say(event.detail)
        self.journal.add(event)

    def say(self, text: str) -> None:
        """Write a line to the log that no command needs."""
        self.file.seek(-1, os.SEEK_END)
        start = "" if self.file.read() == b"\n" else "\n"  # a harness may end within a line
        self.file.write(f"{start}snakeval: {text}\n".encode())
        self.file.flush()


@contextlib.contextmanager
def attempt_log(
    directory: EvaluationDirectory, evaluation: str, journal: Journal
) -> Iterator[AttemptLog]:
    """Open the log of the journal's attempt; ``harness.log`` leads to the newest."""
    attempt = journal.attempt
    with directory.attempt_log(attempt).open("a+b") as log:
        directory.show_log(attempt)
        log.write(f"=== {now()} {evaluation} attempt {attempt}\n".encode())
        log.flush()
        try:
            yield AttemptLog(log, journal)
        finally:
            # Another Snakemake on this run deletes declared logs when it starts its jobs.
            directory.show_log(attempt)
