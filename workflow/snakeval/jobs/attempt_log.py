"""The log of an attempt, for people, and the journal of its events, for commands."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.events import Event, Journal
from snakeval.evaluation.record import now


@dataclass(frozen=True, slots=True)
class AttemptLog:
    """The open log of an attempt, into which the harness prints, and the journal of its events.

    Threads report to it: of a pull, of the loss of a server. A report after the attempt's end, of
    a thread that hangs in a request, is lost.
    """

    file: IO[bytes]
    journal: Journal
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def tell(self, event: Event) -> None:
        """Append an event, and write its detail to the log."""
        if self._write(event.detail):
            self.journal.add(event)

    def say(self, text: str) -> None:
        """Write a line to the log that no command needs."""
        self._write(text)

    def close(self) -> None:
        """Close the log: the attempt has ended."""
        with self._writing:
            self.file.close()

    def _write(self, text: str) -> bool:
        """Write a line to the log; return whether the log was open."""
        with self._writing:
            if self.file.closed:
                return False
            self.file.seek(-1, os.SEEK_END)
            start = "" if self.file.read() == b"\n" else "\n"  # a harness may end within a line
            self.file.write(f"{start}snakeval: {text}\n".encode())
            self.file.flush()
            return True


@contextlib.contextmanager
def attempt_log(
    directory: EvaluationDirectory, evaluation: str, journal: Journal
) -> Iterator[AttemptLog]:
    """Open the log of the journal's attempt; ``harness.log`` leads to the newest."""
    attempt = journal.attempt
    log = AttemptLog(directory.attempt_log(attempt).open("a+b"), journal)
    with contextlib.closing(log):
        directory.show_log(attempt)
        log.file.write(f"=== {now()} {evaluation} attempt {attempt}\n".encode())
        log.file.flush()
        try:
            yield log
        finally:
            # Another Snakemake on this run deletes declared logs when it starts its jobs.
            directory.show_log(attempt)
